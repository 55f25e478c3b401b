"""The event log of a run: an append-only file of JSON lines, one event a line.

Line N is event N, so whoever was cut off asks for the events after the last one it has. Reading
goes through the file (which the page cache holds), so a slow reader costs no memory, and what was
printed while nobody listened is still there.
"""

from __future__ import annotations

import asyncio
import os
from array import array
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

#: How much one chunk of an answer carries at most.
_CHUNK = 1 << 20
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class EventLog:
    """Events of one run, in the order in which they happened.

    Parameters
    ----------
    path
        The file; made here, readable by its user alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, _FLAGS, 0o600)
        self._ends = array("Q")  # the file offset behind each event
        self._size = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.closed = False

    def __len__(self) -> int:
        return len(self._ends)

    def append(self, events: Iterable[tuple[str, bytes]]) -> None:
        """Add events, each a type and the JSON bytes of its content, in one write."""
        lines: list[bytes] = []
        for kind, content in events:
            seq = len(self._ends) + 1
            line = b'{"seq":%d,"type":"%b","content":%b}\n' % (seq, kind.encode(), content)
            self._size += len(line)
            self._ends.append(self._size)
            lines.append(line)
        data = memoryview(b"".join(lines))
        while data:
            data = data[os.write(self._fd, data) :]
        self._wake()

    def close(self) -> None:
        """Mark the log complete: readers end when they have read it."""
        self.closed = True
        os.close(self._fd)
        self._wake()

    async def read(self, after: int, heartbeat: float, offset: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes of all events after number ``after``, waiting for new ones until closed.

        The first ``offset`` bytes are left out. An empty chunk is yielded after each ``heartbeat``
        seconds without an event.
        """
        position = self._ends[min(after, len(self._ends)) - 1] if after > 0 and self._ends else 0
        position += offset
        fd = os.open(self._path, os.O_RDONLY)
        try:
            while True:
                while position < self._size:
                    chunk = os.pread(fd, min(self._size - position, _CHUNK), position)
                    position += len(chunk)
                    yield chunk
                if self.closed:
                    return
                if not await self._wait(heartbeat):
                    yield b""
        finally:
            os.close(fd)

    async def _wait(self, seconds: float) -> bool:
        """Wait for news; say whether there are any, or only ``seconds`` have passed."""
        loop = asyncio.get_running_loop()
        news: asyncio.Future[None] = loop.create_future()
        self._waiting.append(news)
        timer = loop.call_later(seconds, _wake_up, news)
        size = self._size
        try:
            await news
        finally:
            timer.cancel()
        return self.closed or self._size != size

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for news in waiting:
            _wake_up(news)


def _wake_up(news: asyncio.Future[None]) -> None:
    if not news.done():
        news.set_result(None)
