"""A front end: a notebook kernel that is driven message by message, as JupyterLab does it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

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

    def restart(self) -> None:
        """Begin anew, as when a person restarts the notebook's kernel: the session runs on."""
        self.manager.restart_kernel(now=True)
        self.client.wait_for_ready(timeout=60)
        self.seen.clear()
        self.run("%load_ext clouditia_jupyter\n%config ClouditiaMagics.footer = False")
        self.run("%clouditia use remote")

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


def opened(front_end: FrontEnd, name: str) -> str:
    """Return the id of the last widget of a model that the front end was told of."""
    return next(
        str(m["content"]["comm_id"])
        for m in reversed(front_end.seen)
        if m["msg_type"] == "comm_open" and m["content"]["data"]["state"]["_model_name"] == name
    )


def states(front_end: FrontEnd, comm_id: str) -> list[dict[str, Any]]:
    """Return the updates of one widget, in order."""
    return [
        m["content"]["data"]["state"]
        for m in front_end.seen
        if m["msg_type"] == "comm_msg"
        and m["content"]["comm_id"] == comm_id
        and m["content"]["data"]["method"] == "update"
    ]


def say(front_end: FrontEnd, comm_id: str, data: Message, *buffers: bytes, **header: str) -> str:
    """Send a widget a message as a front end does, and return its id."""
    return _send(front_end, "comm_msg", {"comm_id": comm_id, "data": data}, header, buffers)


def open_comm(front_end: FrontEnd, target: str, data: Message, **header: str) -> tuple[str, str]:
    """Open a comm as a front end does, and return its id and the message's."""
    comm_id = uuid4().hex
    content = {"comm_id": comm_id, "target_name": target, "data": data}
    return comm_id, _send(front_end, "comm_open", content, header)


def _send(
    front_end: FrontEnd,
    kind: str,
    content: Message,
    header: dict[str, str],
    buffers: tuple[bytes, ...] = (),
) -> str:
    session = front_end.client.session
    message = session.msg(kind, content, metadata={"version": "1.0.0"})
    message["header"].update(header)
    session.send(front_end.client.shell_channel.socket, message, buffers=list(buffers))
    return str(message["header"]["msg_id"])


def all_values(front_end: FrontEnd, **header: str) -> set[tuple[str, Any]]:
    """Return the model and the value of each widget there is, as JupyterLab asks for them."""
    comm_id, request = open_comm(front_end, "jupyter.widget.control", {}, **header)
    front_end.until_idle(request)
    front_end.until_idle(say(front_end, comm_id, {"method": "request_states"}, **header))
    (told,) = [m for m in front_end.seen if m["content"].get("comm_id") == comm_id]
    data = told["content"]["data"]
    models = data["states"].values()
    found = {(m["model_name"], m["state"].get("value")) for m in models}
    for (model_id, *_), buffer in zip(data["buffer_paths"], told["buffers"], strict=True):
        found.add((data["states"][model_id]["model_name"], bytes(buffer)))
    return found


def move(front_end: FrontEnd, comm_id: str, value: Any, **header: str) -> str:
    state = {"method": "update", "state": {"value": value}, "buffer_paths": []}
    return say(front_end, comm_id, state, **header)


def subshell_of(front_end: FrontEnd) -> str:
    """Return a subshell of the local kernel, where JupyterLab sends what is said to widgets."""
    control = front_end.client.control_channel
    control.send(front_end.client.session.msg("create_subshell_request", {}))
    return str(control.get_msg(timeout=60)["content"]["subshell_id"])


def comm_ids(front_end: FrontEnd, target: str = "jupyter.widget") -> set[str]:
    """Return the widgets that the local kernel says there are, as a page asks when it loads."""
    (result,) = front_end.run(
        "import comm\n"
        f"[k for k, c in comm.get_comm_manager().comms.items() if c.target_name == {target!r}]"
    )
    return set(json.loads(result["data"]["text/plain"].replace("'", '"')))
