"""Variables there and back: how fast, and how much memory that takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

from benchmarks import contenders
from benchmarks.measure import Series, interleave

Push = Callable[[str, Any], object]
Pull = Callable[[str], Any]

_MEGA = 1e6
_HIGH_WATER = (
    "import re\nopen('/proc/self/clear_refs', 'w').write('5')\n"
    "def peak(field):\n"
    "    return int(re.search(field + r':\\s+(\\d+)', open('/proc/self/status').read())[1]) // 1024"
)


def objects() -> dict[str, Any]:
    """Return what is moved."""
    rng = np.random.default_rng(0)
    rows = 1_000_000
    names = np.char.add("name ", rng.integers(0, 100_000, rows).astype(str))
    frame = pd.DataFrame(
        {
            "id": np.arange(rows),
            **{f"x{number}": rng.random(rows) for number in range(4)},
            "count": rng.integers(0, 100, rows).astype("i4"),
            "flag": rng.random(rows) > 0.5,
            "when": pd.date_range("2024", periods=rows, freq="s", tz="UTC"),
            "kind": pd.Categorical(rng.choice(["red", "green", "blue"], rows)),
            "name": names,
        }
    )
    return {"200 MB float64 array": rng.random(25_000_000), "million-row mixed frame": frame}


def report(shell: InteractiveShell, *, quick: bool) -> str:
    """Measure; the goals are 3 times ipyparallel's rate in memory, and 1.2 times over HTTP."""
    parts = []
    with ExitStack() as stack:
        engines = stack.enter_context(contenders.engine())
        view = engines[0]
        view.block = True
        live = stack.enter_context(contenders.session())
        ways: dict[str, tuple[Push, Pull]] = {
            "ipyparallel": (lambda name, value: view.push({name: value}), view.pull),
            "in memory": (live.push, live.pull),
            "over HTTP": (_over_http(live, live.push), _over_http(live, live.pull)),
        }
        for title, value in objects().items():
            size = getattr(value, "nbytes", 0)
            if isinstance(value, pd.DataFrame):
                size = int(value.memory_usage(deep=True).sum())
            for verb in ("push", "pull"):
                series = interleave(
                    {name: _action(verb, way, value) for name, way in ways.items()},
                    rounds=3 if quick else 15,
                    warm_up=2,
                )
                parts.append(_table(f"{verb} a {title} ({size / _MEGA:.0f} MB)", series, size))
        parts.append(_memory(live, ways, objects()["200 MB float64 array"]))
    return "\n".join(parts)


def _over_http(live: Any, move: Callable[..., Any]) -> Callable[..., Any]:
    def moved(*arguments: Any) -> Any:
        with _without_memory(live):
            return move(*arguments)

    return moved


@contextmanager
def _without_memory(live: Any) -> Iterator[None]:
    live.transfer.in_memory = False
    try:
        yield
    finally:
        live.transfer.in_memory = True


def _action(verb: str, way: tuple[Push, Pull], value: Any) -> Callable[[], object]:
    push, pull = way
    return (lambda: push("value", value)) if verb == "push" else (lambda: pull("value"))


def _table(title: str, series: list[Series], size: int) -> str:
    base = series[0]
    heads = ["", "MB/s p50", "MB/s p95", "n", f"to {base.name}"]
    lines = [f"### {title}", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for one in series:
        rates = [f"{size / _MEGA / seconds:,.0f}" for seconds in (one.median, one.p95)]
        ratio = f"{base.median / one.median:.2f}"
        lines.append(f"| {one.name} | {' | '.join(rates)} | {len(one.seconds)} | {ratio} |")
    return "\n".join(lines) + "\n"


def _memory(live: Any, ways: dict[str, tuple[Push, Pull]], array: Any) -> str:
    """Return what an array of 200 MB takes at most, at both ends, beyond what was there before.

    One copy is the value itself, where it arrives.
    """
    heads = ["", "push: here", "push: in the session", "pull: here", "pull: in the session"]
    lines = ["### Peak memory for 200 MB, in MB beyond what was there", ""]
    lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    live.run(_HIGH_WATER)
    for name in ("in memory", "over HTTP"):
        push, pull = ways[name]
        live.run("value = None")
        cells = []
        for act in (lambda push=push: push("value", array), lambda pull=pull: pull("value")):
            live.run("open('/proc/self/clear_refs', 'w').write('5')\nbefore = peak('VmRSS')")
            with _peak() as here:
                kept = act()
            there = live.run("peak('VmHWM') - before").result
            cells += [f"{here[0]:.0f}", str(there)]
            del kept
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@contextmanager
def _peak() -> Iterator[list[float]]:
    found: list[float] = []
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    yield found
    found.append((_status("VmHWM") - before) / 1024)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise LookupError(field)
