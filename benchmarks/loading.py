"""What the extension adds to a fresh IPython, and how soon its first command answers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

from IPython.core.interactiveshell import InteractiveShell

from benchmarks import contenders
from benchmarks.measure import Series, table

# each in a fresh interpreter: IPython is there before the clock starts, as in a notebook
_SCRIPT = """
import sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
begin = time.perf_counter()
{steps}
print(time.perf_counter() - begin, file=sys.stderr)
"""


def _seconds(steps: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT.format(steps=steps)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "IPYTHONDIR": tempfile.gettempdir()},
    )
    return float(done.stderr.split()[-1])


def report(shell: InteractiveShell, *, quick: bool) -> str:
    """Measure loading (goal: 30 ms) and the first command (goals: 0.4 s, and 2 s with a start)."""
    rounds = 3 if quick else 15
    loads = {
        "load_ext clouditia_jupyter": "shell.run_line_magic('load_ext', 'clouditia_jupyter')",
        "load_ext ipyparallel": "shell.run_line_magic('load_ext', 'ipyparallel')",
    }
    times: dict[str, list[float]] = {name: [] for name in loads}
    for _ in range(rounds):
        for name, steps in loads.items():
            times[name].append(_seconds(steps))
    loading = [Series(name, seconds) for name, seconds in times.items()]
    first = {
        "%clouditia, platform running": [],
        "%clouditia inventory, platform running": [],
        "%clouditia, platform to be started": [],
    }
    load = loads["load_ext clouditia_jupyter"]
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="bench-") as state, contenders.own_state(state):
            for name, line in zip(reversed(first), ("", "inventory", ""), strict=True):
                steps = f"{load}\nshell.run_line_magic('clouditia', {line!r})"
                first[name].append(_seconds(steps))
            contenders.end_platform(state)
    answers = [Series(name, seconds) for name, seconds in first.items()]
    return "\n".join(
        [
            table("Loading, in a fresh IPython", loading, ["load_ext ipyparallel"]),
            table("Load and first command, in a fresh IPython", answers, []),
        ]
    )
