"""Which of the tracebacks that IPython shows is the one that the cell fails with.

Others come of cells that go on: from ``%tb`` and ``%run``, of a repr that fails, of a cell that
runs within a cell. Also packed into the agent: it stays within Python 3.9.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

_COMPILES = InteractiveShell.run_ast_nodes.__code__
_EXECUTES = InteractiveShell.run_code.__code__


class TellsFailures(InteractiveShell):
    """An IPython that knows, as it shows a traceback, whether the cell ends with it.

    Attributes
    ----------
    failing
        True while it shows one that the cell ends with.
    """

    failing = False
    _showing = False

    def showtraceback(
        self,
        exc_tuple: Any = None,
        filename: Any = None,
        tb_offset: Any = None,
        exception_only: bool = False,
        running_compiled_code: bool = False,
    ) -> None:
        """Show the last exception, or the one given; see the base class."""
        shower = sys._getframe(1).f_code
        depth = _depth()
        if threading.current_thread() is not threading.main_thread():
            self.failing = False  # what runs there is no cell
        elif depth == 0:
            # before all code: what comes of the cell's transformation is given, and what comes of
            # its compilation is shown there; the rest are callbacks
            self.failing = exc_tuple is not None or shower is _COMPILES
        else:
            # else a cell within it has failed, and it may go on
            self.failing = depth == 1 and shower is _EXECUTES
        self._showing = True
        try:
            super().showtraceback(
                exc_tuple, filename, tb_offset, exception_only, running_compiled_code
            )
        finally:
            self.failing = self._showing = False

    def showsyntaxerror(self, filename: Any = None, running_compiled_code: bool = False) -> None:
        """Show the last syntax error; see the base class."""
        if not self._showing:  # else it is known already
            main = threading.current_thread() is threading.main_thread()
            self.failing = main and _depth() == 0
        try:
            super().showsyntaxerror(  # type: ignore[no-untyped-call]
                filename, running_compiled_code
            )
        finally:
            self.failing = False


def _depth() -> int:
    """Return how many pieces of code IPython is executing within each other."""
    depth, frame = 0, sys._getframe(1)
    while frame is not None:
        depth += frame.f_code is _EXECUTES
        frame = frame.f_back  # type: ignore[assignment]
    return depth
