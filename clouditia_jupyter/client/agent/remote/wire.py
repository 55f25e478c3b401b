"""How relay and broker find each other and talk: a private folder, and JSON with bytes behind."""

from __future__ import annotations

import json
import os
from multiprocessing.connection import Client
from pathlib import Path
from typing import Any

#: In the session's workspace, where every namespace begins.
FOLDER = ".clouditia"
#: Another number means that older and newer agents cannot talk: each has its own broker.
PROTOCOL = 1


def pack(head: dict[str, Any], body: bytes = b"") -> bytes:
    """Return one message: ``head`` as JSON on its first line, then ``body``."""
    return json.dumps(head).encode() + b"\n" + body


def unpack(message: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the head and the body of a message."""
    head, _, body = message.partition(b"\n")
    return json.loads(head), body


class Rendezvous:
    """The file that says where the session's broker listens, and the secret it asks for."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.path = self.folder / f"agent-{PROTOCOL}.json"

    def write(self, address: str, secret: bytes) -> None:
        """Say where the broker is; for this user's eyes only."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        draft = self.path.with_suffix(f".{os.getpid()}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w") as file:
            json.dump({"address": address, "secret": secret.hex()}, file)
        draft.replace(self.path)

    def connect(self) -> Any:
        """Return a connection to the broker; None where none answers."""
        try:
            facts = json.loads(self.path.read_text())
            return Client(facts["address"], "AF_UNIX", authkey=bytes.fromhex(facts["secret"]))
        # a workspace that was moved to another machine brings a stale file
        except (OSError, EOFError, ValueError, KeyError):
            return None
