"""The events of one run as JSON lines: the last of them in memory, those before in a file."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

_IN_MEMORY = 1 << 20
#: What stays in memory of a run that is over: most fit, and thousands of them do no harm.
_KEPT = 1 << 14
#: Beyond this, output is left out where it cannot be written either.
_AT_MOST = 1 << 25
_FULL = {
    "name": "stderr",
    "text": "Some output is missing here: the session had no room for it; is its disk full?\n",
}


class Log:
    """Events numbered from 1, kept as long as the broker lives: a run can be shown again.

    Parameters
    ----------
    path
        Where the file may be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tail = bytearray()
        self._ends = array("Q")
        self._full = False
        self.size = 0

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, kind: str, content: bytes) -> None:
        """Add an event with the JSON bytes of its content."""
        if len(self._tail) > _IN_MEMORY:
            self._spill()
        if len(self._tail) > _AT_MOST and kind not in ("error", "done"):
            if self._full:
                return
            self._full, kind, content = True, "stream", json.dumps(_FULL).encode()
        line = b'{"seq":%d,"type":"%b","content":%b}\n' % (len(self) + 1, kind.encode(), content)
        self._tail += line
        self.size += len(line)
        self._ends.append(self.size)

    def add(self, kind: str, **content: Any) -> None:
        """Add an event."""
        self.append(kind, json.dumps(content).encode())

    def close(self) -> None:
        """Add nothing more."""
        if len(self._tail) > _KEPT:
            self._spill()

    def position(self, after: int) -> int:
        """Return where the events after number ``after`` begin."""
        return self._ends[min(after, len(self)) - 1] if after > 0 and self._ends else 0

    def read(self, position: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``position`` on."""
        filed = self.size - len(self._tail)
        if position >= filed:
            return bytes(self._tail[position - filed : position - filed + limit])
        with self._path.open("rb") as file:
            file.seek(position)
            return file.read(min(limit, filed - position))

    def _spill(self) -> None:
        filed = self.size - len(self._tail)
        try:
            with self._path.open("r+b" if filed else "wb") as file:
                # what a try that failed left there is written over
                file.seek(filed)
                file.write(self._tail)
        except OSError:
            return  # the disk is full; perhaps not for long
        self._tail = bytearray()
        self._full = False
