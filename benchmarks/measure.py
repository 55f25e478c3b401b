"""How things are timed here: interleaved rounds, medians, p95, n, and ratios within one run."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Series:
    """Times of one contender, in seconds."""

    name: str
    seconds: list[float]

    @property
    def median(self) -> float:
        """The time that half of the rounds beat."""
        return statistics.median(self.seconds)

    @property
    def p95(self) -> float:
        """The time that 95 % of the rounds beat."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def interleave(
    contenders: dict[str, Callable[[], object]], rounds: int, warm_up: int
) -> list[Series]:
    """Time each contender once a round, in turn: a machine that slows down slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-warm_up, rounds):
        # the garbage of one round is not the business of the next
        gc.collect()
        for name, action in contenders.items():
            begin = time.perf_counter()
            action()
            elapsed = time.perf_counter() - begin
            if number >= 0:
                times[name].append(elapsed)
    return [Series(name, seconds) for name, seconds in times.items()]


def table(title: str, series: list[Series], baselines: list[str], *, unit: str = "ms") -> str:
    """Return a Markdown table, with the ratio of each median to those of the baselines."""
    scale = {"ms": 1e3, "s": 1.0}[unit]
    medians = {one.name: one.median for one in series}
    heads = ["", f"p50 {unit}", f"p95 {unit}", "n", *(f"to {name}" for name in baselines)]
    lines = [f"### {title}", "", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for one in series:
        ratios = [f"{one.median / medians[name]:.2f}" for name in baselines]
        cells = [one.name, f"{one.median * scale:.2f}", f"{one.p95 * scale:.2f}"]
        lines.append("| " + " | ".join([*cells, str(len(one.seconds)), *ratios]) + " |")
    return "\n".join(lines) + "\n"
