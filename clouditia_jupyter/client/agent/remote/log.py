"""The events of one run as JSON lines, in memory while they are few and on disk beyond that."""

from __future__ import annotations

import json
import tempfile
from array import array
from typing import Any

_IN_MEMORY = 1 << 20


class Log:
    """Events numbered from 1, kept as long as the broker lives: a run can be shown again."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        self._ends = array("Q")
        self.size = 0

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, kind: str, content: bytes) -> None:
        """Add an event with the JSON bytes of its content."""
        line = b'{"seq":%d,"type":"%b","content":%b}\n' % (len(self) + 1, kind.encode(), content)
        self._file.seek(self.size)
        self._file.write(line)
        self.size += len(line)
        self._ends.append(self.size)

    def add(self, kind: str, **content: Any) -> None:
        """Add an event."""
        self.append(kind, json.dumps(content).encode())

    def position(self, after: int) -> int:
        """Return where the events after number ``after`` begin."""
        return self._ends[min(after, len(self)) - 1] if after > 0 and self._ends else 0

    def read(self, position: int, limit: int) -> bytes:
        """Return at most ``limit`` bytes from ``position`` on."""
        self._file.seek(position)
        return self._file.read(min(limit, self.size - position))
