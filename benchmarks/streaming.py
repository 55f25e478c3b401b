"""Much output: how long until all of it is here, and whether it is."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from IPython.core.interactiveshell import InteractiveShell

from benchmarks import contenders
from benchmarks.measure import interleave, table

CELLS = {
    "100,000 lines of 80 characters": "for _ in range(100_000): print('x' * 80)",
    "1,000 flushed lines": "for n in range(1_000): print(n, flush=True)",
    "20,000 flushed lines": "for n in range(20_000): print(n, flush=True)",
}


def report(shell: InteractiveShell, *, quick: bool) -> str:
    """Measure the cells above; of each round, count the lines that do not arrive."""
    parts = []
    with ExitStack() as stack:
        bare = stack.enter_context(contenders.bare_kernel(_print))
        stack.enter_context(contenders.px(shell))
        stack.enter_context(contenders.clouditia(shell))
        runs: dict[str, Callable[[str], object]] = {
            "bare kernel": bare,
            "%%px": lambda code: shell.run_cell_magic("px", "", code),
            "%%clouditia_run": lambda code: shell.run_cell_magic("clouditia_run", "", code),
        }
        for title, code in CELLS.items():
            expected = int(title.split()[0].replace(",", ""))
            seen = dict.fromkeys(runs, 0)
            series = interleave(
                {name: partial(_count, run, code, seen, name) for name, run in runs.items()},
                rounds=2 if quick else 9,
                warm_up=0,
            )
            parts.append(table(title, series, ["bare kernel", "%%px"], unit="s"))
            all_of_them = len(series[0].seconds) * expected
            counts = ", ".join(f"{name} {all_of_them - n:,}" for name, n in seen.items())
            parts.append(f"Lines missing of {all_of_them:,}: {counts}.\n")
    return "\n".join(parts)


def _count(run: Callable[[str], object], code: str, seen: dict[str, int], name: str) -> None:
    """Run a cell and count the lines that it shows."""
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        run(code)
    lines = shown.getvalue().splitlines()
    seen[name] += sum(line.startswith(("x", *"0123456789")) for line in lines)


def _print(message: dict[str, object]) -> None:
    content = message["content"]
    if message["msg_type"] == "stream" and isinstance(content, dict):
        print(content["text"], end="")  # noqa: T201  (what a front end does)
