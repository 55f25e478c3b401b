"""What a kernel says, and where: known without the libraries that carry it."""

from __future__ import annotations

from typing import NamedTuple

#: The message by which a kernel says that the next ``error`` is what its cell fails with.
FAILURE = "clouditia_failure"
#: The message by which it says, among its outputs, that a question is on its way.
QUESTION = "clouditia_question"
#: The kernel's channels and the ports (for ipc: file suffixes) they listen on.
PORTS = {"shell": 1, "iopub": 2, "stdin": 3, "control": 4, "hb": 5}


class Message(NamedTuple):
    """One message from the kernel; ``content`` is its JSON, unparsed.

    ``session`` is the id of the kernel's process: another after each restart.
    """

    channel: str
    type: str
    parent_id: str
    content: bytes
    metadata: bytes
    buffers: list[bytes]
    session: str
