"""Which of the tracebacks that IPython shows is the one that the cell fails with.

Others come of cells that go on: from ``%tb`` and ``%run``, of a repr that fails, of a cell that
runs within a cell. Also packed into the agent: it stays within Python 3.9.
"""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

_COMPILES = InteractiveShell.run_ast_nodes.__code__


class TellsFailures(InteractiveShell):
    """An IPython that knows, as it shows a traceback, whether the cell ends with it.

    Attributes
    ----------
    failing
        True while it shows one that the cell ends with.
    """

    failing = False

    def showtraceback(
        self,
        exc_tuple: Any = None,
        filename: Any = None,
        tb_offset: Any = None,
        exception_only: bool = False,
        running_compiled_code: bool = False,
    ) -> None:
        """Show the last exception, or the one given; see the base class."""
        depth = _depth()
        if depth == 0:
            # before all code: what comes of the cell's transformation is given, and what comes of
            # its compilation is shown there; the rest are callbacks
            shower = sys._getframe(1).f_code
            self.failing = exc_tuple is not None or shower is _COMPILES
        else:
            self.failing = depth == 1 and running_compiled_code
        try:
            super().showtraceback(
                exc_tuple, filename, tb_offset, exception_only, running_compiled_code
            )
        finally:
            self.failing = False

    def showsyntaxerror(self, filename: Any = None, running_compiled_code: bool = False) -> None:
        """Show the last syntax error; see the base class."""
        depth = _depth()
        self.failing = depth == 0 or (depth == 1 and running_compiled_code)
        try:
            super().showsyntaxerror(  # type: ignore[no-untyped-call]
                filename, running_compiled_code
            )
        finally:
            self.failing = False


def _depth() -> int:
    """Return how many pieces of code IPython is executing within each other."""
    depth, frame, code = 0, sys._getframe(1), InteractiveShell.run_code.__code__
    while frame is not None:
        depth += frame.f_code is code
        frame = frame.f_back  # type: ignore[assignment]
    return depth
