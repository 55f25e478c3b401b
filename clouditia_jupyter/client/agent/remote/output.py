"""What cells give: events, on their way out of the kernel process in the order they happened.

One thread sends. An interrupt, which is raised on the main thread at any point, can therefore
never cut a message in two.
"""

from __future__ import annotations

import base64
import io
import os
import queue

# by their names: a cell may put something else into the modules
from json import dumps
from threading import Event, Thread
from typing import Any

#: How long text is gathered before it goes, in seconds, and how much of it at most.
_GATHER = 0.01
_ENOUGH = 1 << 18
_FLUSH_TIMEOUT = 10.0
#: About how much text waits to be sent, in characters.
_WAITING = 1 << 23


class Outbox:
    """The way to the broker."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._pid = os.getpid()
        # safe to put into from a signal handler, and in the middle of a put
        self._items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        Thread(target=self._send_all, name="outbox", daemon=True).start()

    def event(self, kind: str, content: dict[str, Any]) -> None:
        """Send a message; its content is taken as it is now."""
        if os.getpid() == self._pid:  # a fork has nobody to send it
            self._items.put((kind, dumps(content, default=_plain).encode()))

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
                content = dumps({"name": kind, "text": content}).encode()
                kind = "stream"
            if kind == "":
                content.set()
            else:
                try:
                    self._connection.send_bytes(kind.encode() + b"\n" + content)
                except OSError:
                    os._exit(1)  # without its broker nobody can see or end it

    def _gather(self, name: str, first: str) -> tuple[str, tuple[str, Any] | None]:
        parts, size = [first], len(first)
        while size < _ENOUGH:
            try:
                item = self._items.get(timeout=_GATHER)
            except queue.Empty:
                break
            if item[0] != name:
                return "".join(parts), item
            parts.append(item[1])
            size += len(item[1])
        return "".join(parts), None


class OutStream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` of the cells."""

    encoding = "UTF-8"

    def __init__(self, outbox: Outbox, name: str, fd: int) -> None:
        super().__init__()
        self._outbox, self._name, self._fd = outbox, name, fd
        self._pid = os.getpid()
        self._held = ""
        self.name = f"<{name}>"

    def write(self, text: str) -> int:
        """Send ``text``."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text)}")
        if os.getpid() != self._pid:  # a fork has our variables, and not our threads
            self._held += text
            if "\n" in text:
                self.flush()
        elif text:
            self._outbox.text(self._name, text)
        return len(text)

    def flush(self) -> None:
        """See that what was written cannot be lost any more."""
        if os.getpid() == self._pid:
            self._outbox.flush()
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


def _plain(value: Any) -> Any:
    """Return what JSON can carry of a display: bytes as base64, the rest as text."""
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    return str(value)
