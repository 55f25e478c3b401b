"""A kernel's standard streams, and the thread that sends its outputs.

A stock kernel hands each flush to its output thread four times: twice to send what is flushed, once
to arm a timer for what is not, once to say that it is done. Here once is enough, and a flush with
nothing to flush costs nothing.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import select
import sys
import termios
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from ipykernel import iostream

#: What the pod's log keeps of what programs write to standard error, in bytes.
_LOG_SIZE = 1 << 20
#: Seconds between two tries to take something up where there is no memory for it.
_SHORT_OF_MEMORY = 0.05
#: Seconds after which a write looks for what programs have written in the meantime.
_APART = 0.0003


class IOPubThread(iostream.IOPubThread):
    """The thread that sends a kernel's outputs, woken by one system call.

    What it is given to do is done in the order in which it was given.
    """

    __module__ = iostream.__name__

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._over = False
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop: Any = self.io_loop
        loop.asyncio_loop.add_reader(self._news, self._take_up)

    @property
    def running(self) -> bool:
        """Whether the thread is there, in this process."""
        # not by is_alive(): where a signal's exception hits that, it is never true again
        return self.thread.ident is not None and not self._over and not self.forked

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the kernel's."""
        return os.getpid() != self._master_pid

    @property
    def current(self) -> bool:
        """Whether it is what calls."""
        return self.thread.ident == threading.get_ident()

    def schedule(self, f: Callable[[], Any]) -> None:
        """Call ``f`` in the thread: at once where it calls itself, or is not there."""
        if self.current or not self.running:
            f()
            return
        self._events.append(f)
        os.eventfd_write(self._news, 1)

    def stop(self) -> None:
        """End the thread, and wait for it."""
        super().stop()  # type: ignore[no-untyped-call]
        self._over = True

    def catch_up(self) -> None:
        """Do what has been given so far; to be called by the thread itself."""
        while self._events:
            send = self._events.popleft()
            try:
                send()
            except Exception:  # what comes behind it comes all the same
                traceback.print_exc(file=sys.__stderr__)

    def _take_up(self) -> None:
        os.eventfd_read(self._news)
        self.catch_up()


# as all here, under the stock name: programs and messages show it
class OutStream(iostream.OutStream):
    """An output stream whose flush costs nothing when there is nothing to flush.

    What programs and libraries write to the process's own stream comes along: a flush takes that
    up first, so that it belongs to the cell that had it written.
    """

    __module__ = iostream.__name__

    pub_thread: IOPubThread | None
    _fid: int
    #: Whose text came last, and how the buffers know that.
    _last: tuple[Any, frozenset[Any]] = (None, frozenset())
    #: When what is written will have been flushed by itself; until then no timer is needed.
    _due = 0.0
    #: When something was written last.
    _touched = 0.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._taking = threading.RLock()  # a signal may flush in the midst of a flush
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        os.register_at_fork(after_in_child=self._renew_locks)

    def _setup_stream_redirects(self, name: str) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        super()._setup_stream_redirects(name)  # type: ignore[no-untyped-call]

    def _watch_pipe_fd(self) -> None:
        while self._should_watch:
            try:
                select.select([self._fid], [], [])
                self._take_written()
            except MemoryError:  # the cell that has used it up is told; whoever writes goes on
                time.sleep(_SHORT_OF_MEMORY)

    def _renew_locks(self) -> None:
        """Let go of what the output thread held: a process that was forked has none."""
        self._taking, self._buffer_lock = threading.RLock(), threading.RLock()

    def _written(self) -> int:
        """Return how many bytes wait that were written to the process's own stream."""
        if not self._should_watch or os.getpid() != self._master_pid:
            return 0
        waiting = bytearray(4)
        fcntl.ioctl(self._fid, termios.FIONREAD, waiting)
        return int.from_bytes(waiting, sys.byteorder)

    def _take_written(self) -> None:
        """Take them up; not in the main thread, where a signal's exception could lose them."""
        with self._taking:
            if size := self._written():
                data = os.read(self._fid, size)
                self._take(self._decoder.decode(data), time.monotonic())
                if self.name == "stderr":  # may be its last words
                    self._log(data)

    def _log(self, data: bytes) -> None:
        log = self._original_stdstream_copy
        with contextlib.suppress(OSError):  # a full disk must not stop what reads the pipe
            if os.fstat(log).st_size > _LOG_SIZE:
                os.ftruncate(log, 0)
            os.write(log, data)

    def write(self, string: str) -> int:
        """Take a text; see the base class, which looks up each time whose it is."""
        ordinary = type(string) is str and self.echo is None and self.pub_thread is not None
        if not ordinary or os.getpid() != self._master_pid:
            return super().write(string) or 0
        now = time.monotonic()
        if now - self._touched > _APART and self._written():
            self._hand_over(self._take_written)  # it was written before this
        self._touched = now
        self._take(string, now)
        return len(string)

    def _take(self, string: str, now: float) -> None:
        parent = self.parent_header
        last = self._last
        if last[0] is not parent:
            last = self._last = (parent, frozenset(parent.items()))
        with self._buffer_lock:
            self._buffers[last[1]].write(string)
        self._flush_soon(now)

    def _schedule_flush(self) -> None:
        self._flush_soon(time.monotonic())

    def _flush_soon(self, now: float) -> None:
        """Have what is written flushed soon, if nobody does so before."""
        if now < self._due or self.pub_thread is None:
            return
        loop = self.pub_thread.io_loop
        self.pub_thread.schedule(lambda: loop.call_later(self.flush_interval, self._flush))
        # last, and a moment rather than a flag: an exception in between must not stop later ones
        self._due = now + self.flush_interval

    def _flush_buffers(self) -> Iterator[tuple[Any, str]]:
        # half a surrogate pair is a fine character of a string, but no text of a message
        for parent, data in super()._flush_buffers():  # type: ignore[no-untyped-call]
            yield parent, data if data.isascii() else _sendable(data)

    def flush(self) -> None:
        """Hand what is buffered to the output thread, and wait until it is sent."""
        with self._taking:
            written = self._written()
        with self._buffer_lock:
            if not self._buffers and not written:
                return
        # the wait stays where there is something to lose: what a program flushed before it
        # crashed must have left the process
        self._hand_over(self._send)

    def _send(self) -> None:
        self._take_written()
        self._flush()

    def _hand_over(self, work: Callable[[], None]) -> None:
        """Have the output thread do something, and wait until it has."""
        thread = self.pub_thread
        if thread is None:
            return
        done = threading.Lock()
        done.acquire()

        def act() -> None:
            try:
                work()
            finally:
                done.release()

        thread.schedule(act)
        done.acquire(timeout=self.flush_timeout)

    def _flush(self) -> None:
        """Send what is buffered, behind what was shown before it."""
        # nothing can be written in between: it would come before what is shown before it
        with self._buffer_lock:
            if self.pub_thread is not None and self.pub_thread.current:
                self.pub_thread.catch_up()
            super()._flush()  # type: ignore[no-untyped-call]


def _sendable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
