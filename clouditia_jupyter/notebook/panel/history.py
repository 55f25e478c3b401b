"""What the panel draws: what sessions used in the last minutes, and what was spent over time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from clouditia_jupyter.models import gigabytes
from clouditia_jupyter.notebook.charts import amount, line_chart, sparkline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clouditia_jupyter.client.overview import Overview
    from clouditia_jupyter.models import GPUSession

#: Seconds that a sparkline shows, and how many values.
_WINDOW, _VALUES = 120.0, 60
#: Seconds after which a sparkline is drawn anew although its session uses what it used.
_REDRAW = 10.0
#: Seconds that the chart of costs looks back at most, and its points.
_LOOK_BACK, _POINTS = 86_400.0, 60
_GB = 1 << 30
_VISIBLE_EUR = 0.0001

Point = tuple[float, "Mapping[str, Any]"]


class History:
    """Remembers what each running session used, and draws it."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}

    def note(self, overview: Overview, now: float) -> dict[str, list[dict[str, str]]]:
        """Take in a new overview, and return the drawings by session id.

        Returns
        -------
        dict
            For each session that says what it uses, what to draw: ``label``, the newest value as
            ``text``, and ``svg``. A session that uses what it used keeps its drawings.
        """
        uses = {one: said["use"] for one, said in overview.activity.items() if said.get("use")}
        self._kept = {one: self._kept.get(one) or _Kept() for one in uses}
        return {
            session.id: self._kept[session.id].drawn(session, uses[session.id], now)
            for session in overview.sessions
            if session.id in uses
        }


@dataclass
class _Kept:
    """One session's past: each change of what it used, and the drawings of that."""

    points: deque[Point] = field(default_factory=deque)
    drawings: list[dict[str, str]] = field(default_factory=list)
    at: float = 0.0

    def drawn(
        self, session: GPUSession, use: Mapping[str, Any], now: float
    ) -> list[dict[str, str]]:
        change = not self.points or self.points[-1][1] != use
        if change:
            self.points.append((now, use))
        level = len(self.points) == 1
        while len(self.points) > 1 and self.points[1][0] <= now - _WINDOW:
            self.points.popleft()
        # a line that is not level moves on, though nothing new is at its end
        if change or (not level and now - self.at >= _REDRAW):
            self.drawings, self.at = _drawings(session, self.points, now), now
        return self.drawings


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
        text = f"{newest:.2g} of {total:g} {unit}"
        if newest >= 1:
            text = f"{newest:.1f} of {total:g} {unit}"
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


class Span(NamedTuple):
    """A session's time on this machine's clock, and what it cost in it; that came evenly."""

    begin: float
    end: float
    cost: float

    def spent(self, moment: float) -> float:
        """Return how much of the cost had come together by then."""
        if moment >= self.end:
            return self.cost
        return self.cost * max(moment - self.begin, 0.0) / (self.end - self.begin)

    def rate(self, moment: float) -> float:
        """Return the EUR per second at that moment."""
        inside = self.begin <= moment <= self.end and self.end > self.begin
        return self.cost / (self.end - self.begin) if inside else 0.0


def spans(overview: Overview, now: float) -> list[Span]:
    """Return those of the last day; a session that does not say when it ended has none."""
    found = []
    for session in overview.sessions:
        if session.started_at is None:
            continue
        begin, end = overview.hands.local(session.started_at), now
        if session.ended_at is not None:
            end = overview.hands.local(session.ended_at)
        elif session.cost_since is None:
            continue
        if end > now - _LOOK_BACK:
            found.append(Span(begin, max(end, begin), overview.spent(session, now)))
    return found


def spending(overview: Overview, now: float) -> dict[str, str] | None:
    """Return the drawings of what was spent in the last day and how fast; None for next to nothing.

    Returns
    -------
    dict
        ``spent``, the EUR since the drawing's begin; ``burn``, the EUR per hour over the same time.
    """
    known = spans(overview, now)
    if not known:
        return None
    first = max(min(span.begin for span in known), now - _LOOK_BACK)
    times = [first + (now - first) * number / (_POINTS - 1) for number in range(_POINTS)]
    totals = [sum(span.spent(moment) for span in known) for moment in times]
    if totals[-1] - totals[0] < _VISIBLE_EUR:
        return None
    values = [total - totals[0] for total in totals]
    hourly = 3600 / overview.hands.rate  # of the service's clock, as its prices are
    rates = [hourly * sum(span.rate(moment) for span in known) for moment in times]
    unit = overview.currency
    return {
        "spent": line_chart(times, values, label="Spent", unit=unit),
        "burn": sparkline(rates, label="Burn rate", unit=f"{unit}/h"),
    }
