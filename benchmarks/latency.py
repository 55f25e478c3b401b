"""A trivial cell, from the moment it is run until everything about it is known."""

from __future__ import annotations

from contextlib import ExitStack

from IPython.core.interactiveshell import InteractiveShell

from benchmarks import contenders
from benchmarks.measure import Series, interleave, table

CELL = "1+1"


def report(shell: InteractiveShell, *, quick: bool) -> str:
    """Measure ``1+1``; the goals are 0.9 times the bare kernel and 0.7 times ``%%px``."""
    rounds = 30 if quick else 300
    with ExitStack() as stack:
        bare = stack.enter_context(contenders.bare_kernel())
        px = stack.enter_context(contenders.px(shell))
        own = stack.enter_context(contenders.clouditia(shell))
        series = interleave(
            {
                "bare kernel": lambda: bare(CELL),
                "%%px": lambda: px(CELL),
                "%%clouditia_run": lambda: own(CELL),
            },
            rounds=rounds,
            warm_up=10,
        )
    # a notebook uses one platform at a time
    series.append(_through_the_agent(shell, rounds))
    return table(f"A trivial cell (`{CELL}`)", series, ["bare kernel", "%%px"])


def _through_the_agent(shell: InteractiveShell, rounds: int) -> Series:
    with contenders.clouditia(shell, stock=True) as run:
        name = "%%clouditia_run, stock service"
        (series,) = interleave({name: lambda: run(CELL)}, rounds=rounds, warm_up=10)
    return series
