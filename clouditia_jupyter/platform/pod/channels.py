"""The pod's end of a kernel's ZMQ sockets, read on the event loop without copies in between.

Content arrives as the JSON bytes that the kernel sent, so that a cell's output can go into its
log and on to the client unparsed.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.session import Session

from clouditia_jupyter.platform.pod.message import PORTS, QUESTION, Message

_DELIMITER = b"<IDS|MSG>"
_RECONNECT_MS = 5


class Channels:
    """Sockets to one kernel.

    Parameters
    ----------
    address
        Path that the kernel's ``ipc`` endpoints begin with.
    key
        The connection file's signing key.
    on_messages
        Called on the event loop with all messages of one wake-up, in order of arrival per channel.
    """

    def __init__(
        self, address: Path, key: bytes, on_messages: Callable[[list[Message]], None]
    ) -> None:
        self._session = Session(key=key, signature_scheme="hmac-sha256")
        self._on_messages = on_messages
        self._context = zmq.Context()
        self._sockets: dict[str, zmq.Socket[bytes]] = {}
        self._announced = 0
        self._questions: deque[Message] = deque()
        self._loop = asyncio.get_running_loop()
        for name, kind in (
            ("shell", zmq.DEALER),
            ("control", zmq.DEALER),
            ("stdin", zmq.DEALER),
            ("iopub", zmq.SUB),
        ):
            socket = self._context.socket(kind)
            socket.linger = 0
            socket.reconnect_ivl = _RECONNECT_MS
            socket.rcvhwm = 0  # a slow reader must not make the kernel drop output
            if kind == zmq.SUB:
                socket.subscribe(b"")
            else:
                socket.identity = self._session.bsession
            socket.connect(f"ipc://{address}-{PORTS[name]}")
            self._sockets[name] = socket
            self._loop.add_reader(socket.fileno(), self._drain)

    def send(
        self,
        channel: str,
        msg_type: str,
        content: dict[str, Any],
        msg_id: str = "",
        *,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
        subshell: str | None = None,
    ) -> str:
        """Send a request and return its ``msg_id``: the given one, or a new one.

        Parameters
        ----------
        subshell
            Which of the kernel's subshells is to handle it; by default the main shell.
        """
        header = self._session.msg_header(msg_type)
        if msg_id:
            header["msg_id"] = msg_id
        if subshell is not None:
            header["subshell_id"] = subshell
        message = self._session.msg(msg_type, content, header=header, metadata=metadata)
        self._sockets[channel].send_multipart([*self._session.serialize(message), *buffers])
        # sending may consume the edge that the reader waits for
        self._loop.call_soon(self._drain)
        return str(header["msg_id"])

    def close(self) -> None:
        """Close the sockets; nothing is delivered afterwards."""
        for socket in self._sockets.values():
            self._loop.remove_reader(socket.fileno())
            socket.close()
        self._sockets.clear()
        self._context.term()

    def _drain(self) -> None:
        """Read until every socket is empty: ZMQ tells of new messages only once."""
        messages: list[Message] = []
        # outputs before replies: a reply must not overtake what its cell printed
        for name in ("stdin", "iopub", "shell", "control"):
            socket = self._sockets.get(name)
            while socket is not None:
                try:
                    frames = socket.recv_multipart(zmq.NOBLOCK)
                except zmq.Again:
                    break
                message = _parse(name, frames)
                if message.type == QUESTION:
                    self._announced += 1
                elif name == "stdin":
                    self._questions.append(message)
                else:
                    messages.append(message)
        # nor must a question, which comes by a socket of its own
        while self._announced and self._questions:
            self._announced -= 1
            messages.append(self._questions.popleft())
        if messages:
            self._on_messages(messages)


def _parse(channel: str, frames: list[bytes]) -> Message:
    start = frames.index(_DELIMITER) + 2  # past the delimiter and the signature
    header, parent, metadata, content = frames[start : start + 4]
    fields = json.loads(header)
    return Message(
        channel,
        fields["msg_type"],
        json.loads(parent).get("msg_id", ""),
        _text(content),
        _text(metadata),
        frames[start + 4 :],
        fields["session"],
    )


def _text(data: bytes) -> bytes:
    """Return JSON as it is, or with replacements where it is no text.

    Names of files that are not UTF-8 come with bytes that are none either.
    """
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return data.decode(errors="replace").encode()
    return data
