"""How an interrupt reaches the code of a cell, inside the kernel's process."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupts:
    """Delivers each interrupt to a cell's code exactly once, from the cell's first moment on.

    A stock kernel loses some. Much of what runs before a cell's own code (callbacks, compilation)
    swallows an interrupt, and the cell then runs to its end: here one that comes early is held back
    until the code begins. And a signal that hits the main thread as it lets go of the interpreter
    lock to begin a blocking call is noticed only when that call returns: here it is sent again
    until it has been noticed.

    The signal itself comes from the pod, as in a long call of foreign code no thread here could
    send it; the request that says what it means comes after it.
    """

    def __init__(self) -> None:
        self._main = threading.main_thread().ident
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new request begins, or one has ended."""
        self._owed = 0  # asked for, and not yet noticed by the main thread
        self._early = 0  # noticed before it was asked for
        self._nudged = False  # a repeated signal is on its way
        self._in_code = False
        self._held_back = False

    def ask(self, *, signalled: bool) -> None:
        """Note that a signal is meant for the cell, or was; on any thread.

        Parameters
        ----------
        signalled
            Whether it has been sent.
        """
        if signalled and self._early:
            self._early -= 1
        else:
            self._owed += 1

    def nudge(self) -> bool:
        """Signal again if the main thread has not noticed; say whether that was so."""
        if not self._owed or self._main is None or signal.getsignal(signal.SIGINT) != self.handle:
            return False
        self._nudged = True
        signal.pthread_kill(self._main, signal.SIGINT)
        return True

    def handle(self, signum: int, frame: FrameType | None) -> None:
        """Raise in the cell's code, or as soon as that begins: the handler of SIGINT."""
        if self._owed:
            self._owed -= 1
        elif self._nudged:  # the signal that it repeats has been noticed in the meantime
            self._nudged = False
            return
        else:
            self._early += 1
        if self._in_code:
            raise KeyboardInterrupt
        self._held_back = True

    def enter_code(self) -> None:
        """Let interrupts through, and raise the one held back."""
        self._in_code = True
        if self._held_back:
            self._held_back = False
            raise KeyboardInterrupt
