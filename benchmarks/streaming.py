"""Much output: how long until all of it is here, and whether it is."""

from __future__ import annotations

import contextlib
import io
from contextlib import ExitStack

from IPython.core.interactiveshell import InteractiveShell

from benchmarks import contenders
from benchmarks.measure import interleave, table

CELLS = {
    "100,000 lines of 80 characters": "for _ in range(100_000): print('x' * 80)",
    "1,000 flushed lines": "for n in range(1_000): print(n, flush=True)",
    "20,000 flushed lines": "for n in range(20_000): print(n, flush=True)",
}


def report(shell: InteractiveShell, *, quick: bool) -> str:
    """Measure the cells above, and count the lines that arrive."""
    parts = []
    with ExitStack() as stack:
        bare = stack.enter_context(contenders.bare_kernel())
        px = stack.enter_context(contenders.px(shell))
        own = stack.enter_context(contenders.clouditia(shell))
        for title, code in CELLS.items():
            series = interleave(
                {
                    "bare kernel": lambda code=code: bare(code),
                    "%%px": lambda code=code: px(code),
                    "%%clouditia_run": lambda code=code: own(code),
                },
                rounds=2 if quick else 9,
                warm_up=1,
            )
            parts.append(table(title, series, ["bare kernel", "%%px"], unit="s"))
            expected = int(title.split()[0].replace(",", ""))
            shown = io.StringIO()
            with contextlib.redirect_stdout(shown):
                shell.run_cell_magic("clouditia_run", "", code)
            missing = expected - shown.getvalue().count("\n")
            parts.append(f"Lines missing from `%%clouditia_run`: {missing}.\n")
    return "\n".join(parts)
