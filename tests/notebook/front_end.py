"""A front end: a notebook kernel that is driven message by message, as JupyterLab does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import zmq
from jupyter_client.manager import start_new_kernel

_LONGEST_WAIT_MS = 60_000
_OUTPUTS = {"stream", "display_data", "execute_result", "error"}

Message = dict[str, Any]


class FrontEnd:
    """Runs cells in a real local kernel that has the extension and a remote session.

    Attributes
    ----------
    seen
        Every message on iopub so far, in order.
    """

    def __init__(self, *, create: bool = True) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3")
        self.seen: list[Message] = []
        self._poller = zmq.Poller()
        for channel in (self.client.iopub_channel, self.client.stdin_channel):
            self._poller.register(channel.socket, zmq.POLLIN)
        self.run("%load_ext clouditia_jupyter\n%config ClouditiaMagics.footer = False")
        if create:
            self.run("%clouditia create --gpu nvidia-rtx-3060ti --name remote")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def send(self, code: str, *, allow_stdin: bool = True) -> str:
        """Begin a cell and return its request's id."""
        return str(self.client.execute(code, allow_stdin=allow_stdin))

    def remote(self, code: str, line: str = "", **options: Any) -> str:
        """Begin a remote cell and return its request's id."""
        return self.send(f"%%clouditia_run {line}\n{code}", **options)

    def messages(self) -> Iterator[Message]:
        """Yield what the kernel sends, on iopub and on stdin, for as long as something comes."""
        while True:
            ready = dict(self._poller.poll(_LONGEST_WAIT_MS))
            assert ready, f"nothing came for a long time after {self.seen[-3:]}"
            for channel in (self.client.iopub_channel, self.client.stdin_channel):
                if channel.socket in ready:
                    message = channel.get_msg(timeout=1)
                    if channel is self.client.iopub_channel:
                        self.seen.append(message)
                    yield message

    def until(self, wanted: Callable[[Message], bool]) -> Message:
        """Return the first message that comes from now on and that ``wanted`` accepts."""
        return next(message for message in self.messages() if wanted(message))

    def until_idle(self, request: str) -> list[Message]:
        """Return the outputs of a request once the kernel has ended with it."""
        self.until(
            lambda m: (
                m["msg_type"] == "status"
                and m["content"]["execution_state"] == "idle"
                and m["parent_header"].get("msg_id") == request
            )
        )
        return self.outputs(request)

    def outputs(self, request: str) -> list[Message]:
        """Return what a request has put out so far, as ``{"type", **content}``."""
        return [
            {"type": m["msg_type"], **m["content"]}
            for m in self.seen
            if m["parent_header"].get("msg_id") == request and m["msg_type"] in _OUTPUTS
        ]

    def question(self) -> Message:
        """Return the content of the next question."""
        return dict(self.until(lambda m: m["msg_type"] == "input_request")["content"])

    def run(self, code: str, **options: Any) -> list[Message]:
        """Return the outputs of a local cell that asks nothing."""
        return self.until_idle(self.send(code, **options))


def text_of(outputs: list[Message], name: str = "stdout") -> str:
    """Return what the outputs print."""
    return "".join(o["text"] for o in outputs if o["type"] == "stream" and o["name"] == name)


def error_of(outputs: list[Message]) -> Message:
    """Return the one error among the outputs."""
    (error,) = [o for o in outputs if o["type"] == "error"]
    return error
