"""What cells give: events, on their way out of the kernel process in the order they happened.

One thread sends. An interrupt, which is raised on the main thread at any point, can therefore
never cut a message in two.
"""

from __future__ import annotations

import base64
import io
import os
import queue
import re

# by their names: a cell may put something else into the modules
from fcntl import ioctl
from json import dumps
from termios import FIONREAD
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

#: How much text goes at once at most, in characters.
_ENOUGH = 1 << 18
_FLUSH_TIMEOUT = 10.0
#: Lines that come slower than this, in seconds, go one by one.
_APART = 0.0005
#: How long a message waits for what the process's own streams were given before it, in seconds: at
#: most, and between two looks.
_OWN_TIMEOUT, _OWN_LOOK = 0.05, 0.0002
_HALF = re.compile("[\ud800-\udfff]")
#: About how much text waits to be sent, in characters.
_WAITING = 1 << 23


class Outbox:
    """The way to the broker."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._pid = os.getpid()
        # safe to put into from a signal handler, and in the middle of a put
        self._items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._own = OwnStreams()
        Thread(target=self._send_all, name="outbox", daemon=True).start()

    def event(self, kind: str, content: dict[str, Any]) -> None:
        """Send a message; its content is taken as it is now."""
        if os.getpid() == self._pid:  # a fork has nobody to send it
            text = dumps(content, default=_plain, ensure_ascii=False)
            self._items.put((kind, _bytes(text)))

    def text(self, name: str, text: str) -> None:
        """Send what was written to ``stdout`` or ``stderr``; neighbours go together."""
        for start in range(0, len(text), _ENOUGH):
            self._items.put((name, text[start : start + _ENOUGH]))
            # whoever writes faster than it can go out waits
            if self._items.qsize() * min(len(text), _ENOUGH) > _WAITING:
                self.flush()

    def flush(self) -> None:
        """Return when everything is out of this process."""
        sent = Event()
        self._items.put(("", sent))
        sent.wait(_FLUSH_TIMEOUT)

    def _send_all(self) -> None:
        held: tuple[str, Any] | None = None
        while True:
            kind, content = held or self._items.get()
            held = None
            if kind in ("stdout", "stderr"):
                content, held = self._gather(kind, content)
                content = _bytes(dumps({"name": kind, "text": content}, ensure_ascii=False))
                kind = "stream"
            if kind == "":
                content.set()
            else:
                self._own.wait_until_taken()
                try:
                    self._connection.send_bytes(kind.encode() + b"\n" + content)
                except OSError:
                    os._exit(1)  # without its broker nobody can see or end it

    def _gather(self, name: str, first: str) -> tuple[str, tuple[str, Any] | None]:
        parts, size = [first], len(first)
        while size < _ENOUGH:
            try:
                # no wait for more: a program that the cell starts now may be quick
                item = self._items.get_nowait()
            except queue.Empty:
                break
            if item[0] != name:
                return "".join(parts), item
            parts.append(item[1])
            size += len(item[1])
        return "".join(parts), None


class OwnStreams:
    """What programs and libraries write to the process's own streams, which the broker reads.

    It comes on a way of its own. Where all of that is taken before a message goes, and the broker
    looks for messages first, everything is seen in the order in which it was written.
    """

    def __init__(self) -> None:
        # cells may put something else in their places
        self._fds = [os.dup(1), os.dup(2)]

    def wait_until_taken(self) -> None:
        """Return when the broker has taken what was written, or soon."""
        end = monotonic() + _OWN_TIMEOUT
        while self._waiting() and monotonic() < end:
            sleep(_OWN_LOOK)

    def _waiting(self) -> bool:
        for fd in self._fds:
            count = bytearray(4)
            try:
                ioctl(fd, FIONREAD, count)
            except OSError:  # a cell closed it
                continue
            if any(count):
                return True
        return False


class OutStream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` of the cells."""

    encoding = "UTF-8"

    def __init__(self, outbox: Outbox, name: str, fd: int) -> None:
        super().__init__()
        self._outbox, self._name, self._fd = outbox, name, fd
        self._pid = os.getpid()
        self._held = ""
        self._sent = 0.0
        self.name = name

    def write(self, text: str) -> int:
        """Send ``text``."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text)}")
        if self.closed:
            raise ValueError("I/O operation on closed file")
        if os.getpid() != self._pid:  # a fork has our variables, and not our threads
            self._held += text
            if "\n" in text:
                self.flush()
        elif text:
            self._outbox.text(self._name, text)
            if text[-1] == "\n" and monotonic() - self._sent > _APART:
                self.flush()  # it may be followed by what a program writes
        return len(text)

    def flush(self) -> None:
        """See that what was written cannot be lost any more."""
        if os.getpid() == self._pid:
            self._outbox.flush()
            self._sent = monotonic()
        elif self._held:
            held, self._held = self._held, ""
            os.write(self._fd, held.encode("utf-8", "backslashreplace"))

    def writable(self) -> bool:
        """Say yes."""
        return True

    def isatty(self) -> bool:
        """Say no, as a notebook's stream does."""
        return False

    def fileno(self) -> int:
        """Return the process's own stream, whose output comes along too."""
        return self._fd


def _bytes(text: str) -> bytes:
    """Return JSON as bytes: half a surrogate pair is a character, but no text, and is spelt out."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _HALF.sub(lambda half: f"\\\\u{ord(half[0]):x}", text).encode()


def _plain(value: Any) -> Any:
    """Return what JSON can carry of a display: bytes as base64, the rest as text."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return str(value)
