"""From ``%clouditia create`` to the first result of a cell."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time

from IPython.core.interactiveshell import InteractiveShell

from benchmarks import contenders
from benchmarks.measure import Series, table


def report(shell: InteractiveShell, *, quick: bool) -> str:
    """Measure a cold pod (goal: 1.5 s) and one from the warm pool (goal: 0.2 s)."""
    rounds = 3 if quick else 15
    return table(
        "create, then a first cell",
        [
            Series("cold pod", _times(shell, spares=0, rounds=rounds)),
            Series("warm pod", _times(shell, spares=1, rounds=rounds)),
        ],
        ["cold pod"],
    )


def _times(shell: InteractiveShell, *, spares: int, rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory(prefix="bench-") as state, contenders.own_state(state):
        platform = subprocess.Popen(
            [
                *(sys.executable, "-m", "clouditia_jupyter.platform", "--state", state),
                *("--port", "0", "--spares", str(spares)),
            ],
            stdout=subprocess.PIPE,
        )
        assert platform.stdout is not None
        told = json.loads(platform.stdout.readline())
        os.environ["CLOUDITIA_API_KEY"] = told["api_key"]
        os.environ["CLOUDITIA_BASE_URL"] = told["computing_url"]
        os.environ["CLOUDITIA_EDITOR_URL"] = told["code_editor_url"]
        shell.run_line_magic("load_ext", "clouditia_jupyter")
        try:
            return [_once(shell) for _ in range(-1, rounds)][1:]
        finally:
            platform.terminate()
            platform.wait(30)
            platform.stdout.close()


def _once(shell: InteractiveShell) -> float:
    # a warm pod is one that has had the time to come up; nothing tells from outside
    time.sleep(4.0)
    with contextlib.redirect_stdout(io.StringIO()):
        begin = time.perf_counter()
        shell.run_line_magic("clouditia", "create --gpu nvidia-rtx-3090 --vcpu 2 --ram 4")
        shell.run_cell_magic("clouditia_run", "", "1+1")
        elapsed = time.perf_counter() - begin
        shell.run_line_magic("clouditia", "stop --yes")
    return elapsed
