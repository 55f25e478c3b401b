"""Comm messages, which carry a widget's state and what is done to it, as lines of a log."""

from __future__ import annotations

import base64
import json

from clouditia_jupyter.platform.pod.message import Message

COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})
#: The message by which a kernel says which targets a front end may open comms with.
TARGET = "comm_target"
#: What a kernel says of its comms.
TOLD = COMMS | {TARGET}


def with_extras(message: Message) -> bytes:
    """Return a comm message's content, and behind it the event line's further members.

    They are ``metadata``, ``buffers`` in base64 where there are any, and ``kernel``, the process
    that the widget lives and dies with.
    """
    extras = b',"metadata":%b,"kernel":"%b"' % (message.metadata, message.session.encode())
    if message.buffers:
        buffers = [base64.b64encode(buffer).decode() for buffer in message.buffers]
        extras += b',"buffers":' + json.dumps(buffers).encode()
    return message.content + extras
