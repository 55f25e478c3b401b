"""``input()``, ``getpass()`` and debuggers in a remote cell: ask here, answer there."""

from __future__ import annotations

import _thread
import getpass
import signal
import sys
import threading
from typing import TYPE_CHECKING

from clouditia_jupyter.errors import ClouditiaError

if TYPE_CHECKING:
    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.models import Event

#: How ``input()`` on the other end is told that there will be no more.
_END_OF_INPUT = "\x04"
_WATCH_SECONDS = 20.0


def ask(stream: EventStream, event: Event) -> None:
    """Ask the user what the remote code asks, and send what they say.

    In a notebook the kernel's own ``input`` shows the question. Returns without an answer where
    none is needed any more: somebody else gave it, or the run has ended meanwhile.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupts; the question is then still open.
    """
    if not stream.is_asking(event.seq):  # a run that is shown again
        return
    sys.stdout.flush()
    sys.stderr.flush()
    prompt = str(event.content.get("prompt", ""))
    watch = _Watch(stream, event.seq)
    try:
        try:
            value = getpass.getpass(prompt) if event.content.get("password") else input(prompt)
        except EOFError:
            value = _END_OF_INPUT
        watch.end()
    except KeyboardInterrupt:
        if watch.end():
            return
        raise
    stream.answer(event.seq, value)


class _Watch:
    """Looks on another thread whether a question is still open; ends the asking when it is not."""

    def __init__(self, stream: EventStream, request: int) -> None:
        self._stream, self._request = stream, request
        self._lock = threading.Lock()
        self._over = self._withdrawn = False
        threading.Thread(target=self._look, name="clouditia-question", daemon=True).start()

    def end(self) -> bool:
        """Stop watching; return whether it was the watch that ended the asking."""
        with self._lock:
            self._over = True
            return self._withdrawn

    def _look(self) -> None:
        while not self._over:
            try:
                still_open = self._stream.is_asking(self._request, _WATCH_SECONDS)
            except ClouditiaError:  # the stream itself will say what is wrong
                still_open = False
            if not still_open:
                break
        with self._lock:
            if not self._over:
                self._withdrawn = True
                _interrupt_main()


def _interrupt_main() -> None:
    ident = threading.main_thread().ident
    if ident is not None and hasattr(signal, "pthread_kill"):
        signal.pthread_kill(ident, signal.SIGINT)  # ends a read from a terminal too
    else:
        _thread.interrupt_main()
