"""A trivial cell, from the moment it is run until everything about it is known."""

from __future__ import annotations

from contextlib import ExitStack

from IPython.core.interactiveshell import InteractiveShell

from benchmarks import contenders
from benchmarks.measure import interleave, table


def report(shell: InteractiveShell, *, quick: bool) -> str:
    """Measure ``1+1``; the goals are 1.1 times the bare kernel and 0.9 times ``%%px``."""
    with ExitStack() as stack:
        bare = stack.enter_context(contenders.bare_kernel())
        px = stack.enter_context(contenders.px(shell))
        own = stack.enter_context(contenders.clouditia(shell))
        series = interleave(
            {
                "bare kernel": lambda: bare("1+1"),
                "%%px": lambda: px("1+1"),
                "%%clouditia_run": lambda: own("1+1"),
            },
            rounds=30 if quick else 300,
            warm_up=10,
        )
    return table("A trivial cell (`1+1`)", series, ["bare kernel", "%%px"])
