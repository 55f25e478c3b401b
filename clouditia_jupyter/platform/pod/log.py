"""The event log of a run: an append-only file of JSON lines, one event a line.

Line N is event N, so whoever was cut off asks for the events after the last one it has. Reading
goes through the file (which the page cache holds), so a slow reader costs no memory, and what was
printed while nobody listened is still there. What a full disk does not take waits in memory.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from array import array
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

#: How much one chunk of an answer carries at most.
_CHUNK = 1 << 20
#: How many bytes may wait in memory for room on the disk; then only how a run ended is noted.
_MOST_HELD = 4 << 20
_HOW_IT_ENDED = ("error", "done", "lost")
_CUT = (
    b'{"name":"stderr","text":"Output is left out here: the disk that keeps it is full. '
    b'Free some space on it, then run the cell again.\\n"}'
)
_PUNCH_HOLE_KEEP_SIZE = 3
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class EventLog:
    """Events of one run, in the order in which they happened.

    Parameters
    ----------
    path
        The file; made here, readable by its user alone.
    keep
        How many of its last bytes to keep at least, where older events may be forgotten; None
        forgets nothing.
    """

    def __init__(self, path: Path, keep: int | None = None) -> None:
        self._path = path
        self._fd = os.open(path, _FLAGS, 0o600)
        self._ends = array("Q")  # the offset behind each event that is not forgotten
        self._forgotten = 0  # events
        self._start = 0  # of the first event that is not
        self._size = 0
        self._held = bytearray()  # the last of it, which is not in the file
        self._cut = False
        self._keep = keep
        self._waiting: list[asyncio.Future[None]] = []
        self.closed = False

    def __len__(self) -> int:
        return self._forgotten + len(self._ends)

    def append(self, events: Iterable[tuple[str, bytes]]) -> None:
        """Add events, each a type and the JSON bytes of its content, in one write."""
        lines: list[bytes] = []
        for kind, content in events:
            if len(self._held) > _MOST_HELD and kind not in _HOW_IT_ENDED:
                if self._cut:
                    continue
                self._cut, kind, content = True, "stream", _CUT
            line = b'{"seq":%d,"type":"%b","content":%b}\n' % (
                len(self) + 1,
                kind.encode(),
                content,
            )
            self._size += len(line)
            self._ends.append(self._size)
            lines.append(line)
        self._write(b"".join(lines))
        if self._keep is not None and self._size - self._start > 2 * self._keep:
            self._forget(self._keep)
        self._wake()

    def _write(self, data: bytes) -> None:
        if self._held:
            self._held += data
            data = bytes(self._held)
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            self._held = bytearray(rest)
        else:
            self._held.clear()

    def _forget(self, keep: int) -> None:
        """Give back the disk space of all but the last ``keep`` bytes and the event they are in."""
        count = bisect_right(self._ends, self._size - keep)
        if count:
            start = self._ends[count - 1]
            libc, begin = ctypes.CDLL(None), ctypes.c_longlong(self._start)
            length = ctypes.c_longlong(start - self._start)
            libc.fallocate(self._fd, _PUNCH_HOLE_KEEP_SIZE, begin, length)
            del self._ends[:count]
            self._forgotten += count
            self._start = start

    def close(self) -> None:
        """Mark the log complete: readers end when they have read it."""
        self.closed = True
        os.close(self._fd)
        self._wake()

    async def read(self, after: int, heartbeat: float, offset: int = 0) -> AsyncIterator[bytes]:
        """Yield the bytes of all events after number ``after``, waiting for new ones until closed.

        The first ``offset`` bytes are left out. An empty chunk is yielded after each ``heartbeat``
        seconds without an event. Whoever is so late that the rest of an event is forgotten is cut
        off, and may ask again.
        """
        index = min(after - self._forgotten, len(self._ends))
        position = (self._ends[index - 1] if index > 0 else self._start) + offset
        whole = True  # what was yielded ends where an event does
        fd = os.open(self._path, os.O_RDONLY)
        try:
            while True:
                while position < self._size:
                    if position < self._start:
                        if not whole:
                            return
                        position = self._start
                    chunk = self._piece(fd, position)
                    position += len(chunk)
                    whole = chunk.endswith(b"\n")
                    yield chunk
                if self.closed:
                    return
                if not await self._wait(heartbeat):
                    yield b""
        finally:
            os.close(fd)

    def _piece(self, fd: int, position: int) -> bytes:
        in_file = self._size - len(self._held)
        if position < in_file:
            return os.pread(fd, min(in_file - position, _CHUNK), position)
        begin = position - in_file
        return bytes(self._held[begin : begin + _CHUNK])

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
