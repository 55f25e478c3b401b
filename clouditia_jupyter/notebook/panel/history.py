"""What the panel draws: what sessions used in the last minutes, and what was spent over time."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.models import gigabytes
from clouditia_jupyter.notebook.charts import amount, line_chart, sparkline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clouditia_jupyter.client.overview import Overview
    from clouditia_jupyter.models import GPUSession

#: Seconds that a sparkline shows, and how many values.
_WINDOW, _VALUES = 120.0, 60
#: Seconds that the chart of costs looks back at most, and its points.
_LOOK_BACK, _POINTS = 86_400.0, 60
_GB = 1 << 30
_VISIBLE_EUR = 0.0001

Point = tuple[float, "Mapping[str, Any]"]


class History:
    """Remembers what each running session used."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[Point]] = {}

    def note(self, overview: Overview, now: float) -> dict[str, list[dict[str, str]]]:
        """Take in a new overview, and return the drawings by session id.

        Returns
        -------
        dict
            For each session that says what it uses, what to draw: ``label``, the newest value as
            ``text``, and ``svg``.
        """
        uses = {one: said["use"] for one, said in overview.activity.items() if said.get("use")}
        self._seen = {one: seen for one, seen in self._seen.items() if one in uses}
        for one, use in uses.items():
            seen = self._seen.setdefault(one, deque())
            seen.append((now, use))
            while len(seen) > 1 and seen[1][0] <= now - _WINDOW:
                seen.popleft()
        return {
            session.id: _drawings(session, self._seen[session.id], now)
            for session in overview.sessions
            if session.id in uses
        }


def _drawings(session: GPUSession, seen: deque[Point], now: float) -> list[dict[str, str]]:
    newest = seen[-1][1]
    if newest["gpus"]:
        total = sum(gpu["memory_total_bytes"] for gpu in newest["gpus"]) / _GB
        return [
            _drawing("GPU", "%", seen, now, _gpu_percent),
            _drawing("GPU memory", "GB", seen, now, _gpu_memory, total),
        ]
    cores = max(session.vcpu, 1)
    return [
        _drawing("CPU", "%", seen, now, lambda use: use["cpu_percent"] / cores),
        _drawing(
            "RAM", "GB", seen, now, lambda use: use["memory_bytes"] / _GB, gigabytes(session.ram)
        ),
    ]


def _drawing(
    label: str, unit: str, seen: deque[Point], now: float, read: Any, total: float | None = None
) -> dict[str, str]:
    values: list[float | None] = []
    points = iter(seen)
    upcoming = next(points, None)
    held: float | None = None
    for number in range(1, _VALUES + 1):
        moment = now - _WINDOW + number * _WINDOW / _VALUES
        while upcoming is not None and upcoming[0] <= moment:
            held, upcoming = float(read(upcoming[1])), next(points, None)
        values.append(held)
    newest = float(read(seen[-1][1]))
    text = amount(newest, "" if total else unit)
    if total:
        text = f"{amount(round(newest, 2))} of {amount(round(total, 1), unit)}"
    return {
        "label": label,
        "text": text,
        "svg": sparkline(values, label=label, unit=unit, top=total),
    }


def _gpu_percent(use: Mapping[str, Any]) -> float:
    percents = [float(gpu["percent"]) for gpu in use["gpus"]]
    return sum(percents) / len(percents) if percents else 0.0


def _gpu_memory(use: Mapping[str, Any]) -> float:
    return float(sum(gpu["memory_bytes"] for gpu in use["gpus"])) / _GB


def spent_over_time(overview: Overview, now: float) -> tuple[list[float], list[float]]:
    """Return moments of the last day, and the EUR that had been spent since the first of them."""
    spans = []
    for session in overview.sessions:
        if session.started_at is None:
            continue
        begin = overview.hands.local(session.started_at)
        end = now
        if session.ended_at is not None:
            end = overview.hands.local(session.ended_at)
        elif session.cost_since is None:
            continue  # it has ended, and the service does not say when
        spans.append((begin, max(end, begin), overview.spent(session, now)))
    spans = [span for span in spans if span[1] > now - _LOOK_BACK]
    if not spans:
        return [], []
    first = max(min(begin for begin, _, _ in spans), now - _LOOK_BACK)
    times = [first + (now - first) * number / (_POINTS - 1) for number in range(_POINTS)]
    totals = [sum(_part(span, moment) for span in spans) for moment in times]
    return times, [total - totals[0] for total in totals]


def _part(span: tuple[float, float, float], moment: float) -> float:
    """Return how much of a session's cost had come together by then; it comes evenly."""
    begin, end, cost = span
    if moment >= end:
        return cost
    return cost * max(moment - begin, 0.0) / (end - begin) if end > begin else 0.0


def cost_chart(overview: Overview, now: float) -> str:
    """Return the drawing of what was spent over time; empty where it is next to nothing."""
    times, values = spent_over_time(overview, now)
    if not values or values[-1] < _VISIBLE_EUR:
        return ""
    return line_chart(times, values, label="Spent", unit=overview.currency)
