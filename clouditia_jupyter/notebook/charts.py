"""Small charts as inline SVG: the theme's colours, any width, and a text for who cannot see them.

A value that is no finite number (None, NaN, infinity) is a gap in the line. The same values give
the same text, so that a widget which shows them sends nothing when nothing has changed.
"""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from clouditia_jupyter.notebook.look import escaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: The drawing's own units; the style sheet stretches it to the width there is.
_WIDTH, _HEIGHT = 100.0, 30.0
#: Room for the stroke, above and below.
_EDGE = 1.0
#: More points than this add bytes, but nothing that can be seen.
_MOST_POINTS = 240

Point = tuple[float, float]


def sparkline(
    values: Iterable[float | None], *, label: str, unit: str = "", top: float | None = None
) -> str:
    """Return a line without axes, from the oldest value to the newest.

    Parameters
    ----------
    values
        Equally far apart in time.
    label, unit
        What it is, and of what: ``GPU use`` and ``%``. Both may be anybody's text.
    top
        What the height stands for, if no value is greater: by default 100 for per cent, and the
        greatest value for all else.
    """
    points = [(float(number), value) for number, value in enumerate(_finite(values))]
    known = [value for _, value in points if value is not None]
    reach = _range(known, unit, top)
    drawing = _drawing(points, f"{label}: {_summary(points, unit)}", reach)
    return f'<div class="clouditia-spark">{drawing}</div>'


def line_chart(
    times: Sequence[datetime | float],
    values: Iterable[float | None],
    *,
    label: str,
    unit: str = "",
) -> str:
    """Return a line over time, with its range and its beginning and end written beside it.

    Parameters
    ----------
    times
        Of the values, ascending: datetimes, or seconds since 1970. They are shown in this
        machine's time zone.
    values
        As many; drawn from 0, or from the least where that is below.
    label, unit
        What it is, and of what: ``Cost`` and ``EUR``. Both may be anybody's text.
    """
    moments = [when.timestamp() if isinstance(when, datetime) else float(when) for when in times]
    points = list(zip(moments, _finite(values), strict=True))
    known = [value for _, value in points if value is not None]
    low, high = reach = _range(known, unit)
    first, last = _clock(moments[:1], moments), _clock(moments[-1:], moments)
    over = f", {first} to {last}" if len(moments) > 1 else ""
    return (
        '<div class="clouditia-chart">'
        '<div class="clouditia-ends clouditia-upright" aria-hidden="true">'
        f"<span>{escaped(amount(high, unit) if known else '')}</span>"
        f"<span>{escaped(amount(low, unit) if known else '')}</span></div>"
        f"{_drawing(points, f'{label}: {_summary(points, unit)}{over}', reach)}"
        '<span></span><div class="clouditia-ends" aria-hidden="true">'
        f"<span>{first}</span><span>{last if len(moments) > 1 else ''}</span></div></div>"
    )


def amount(value: float, unit: str = "") -> str:
    """Return a number to read, with its unit: ``1,234 MB``, ``0.05 EUR``, ``43 %``."""
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-4:
        text = f"{value:.3g}"
    elif unit == "%" or size >= 1000 or value == int(value):
        text = f"{value:,.0f}"
    else:
        text = f"{value:.2f}" if size >= 0.1 else f"{value:.4f}".rstrip("0")
    return f"{text} {unit}".rstrip()


def _finite(values: Iterable[float | None]) -> list[float | None]:
    return [
        float(value) if value is not None and math.isfinite(value) else None for value in values
    ]


def _range(known: Sequence[float], unit: str, top: float | None = None) -> tuple[float, float]:
    """Return where the drawing begins and ends; never the same number twice."""
    low = min([0.0, *known])
    high = max([100.0 if unit == "%" else top or 0.0, *known])
    return low, high if high > low else low + 1.0


def _summary(points: Sequence[tuple[float, float | None]], unit: str) -> str:
    known = [value for _, value in points if value is not None]
    if not known:
        return "no values yet"
    newest = points[-1][1]
    now = "now unknown" if newest is None else f"now {amount(newest, unit)}"
    if len(known) == 1:
        return now
    return f"{now}, between {amount(min(known), unit)} and {amount(max(known), unit)}"


def _drawing(
    points: Sequence[tuple[float, float | None]], text: str, reach: tuple[float, float]
) -> str:
    """Return the SVG; ``text`` is its name, for screen readers and under the pointer."""
    paths = []
    for line in _lines(points, reach):
        if len(line) == 1:
            (x, y) = line[0]
            paths.append(f'<path class="clouditia-stroke clouditia-dot" d="M{x:.2f} {y:.2f}h0"/>')
            continue
        along = "L".join(f"{x:.2f} {y:.2f}" for x, y in line)
        under = f"M{line[0][0]:.2f} {_HEIGHT:g}L{along}L{line[-1][0]:.2f} {_HEIGHT:g}Z"
        paths.append(f'<path class="clouditia-fill" d="{under}"/>')
        paths.append(f'<path class="clouditia-stroke" d="M{along}"/>')
    base = _HEIGHT - _EDGE / 2
    return (
        f'<svg role="img" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" preserveAspectRatio="none">'
        f"<title>{escaped(text)}</title>"
        f'<path class="clouditia-rule" d="M0 {base:g}H{_WIDTH:g}"/>{"".join(paths)}</svg>'
    )


def _lines(
    points: Sequence[tuple[float, float | None]], reach: tuple[float, float]
) -> list[list[Point]]:
    """Return the unbroken lines, in the drawing's units."""
    if not points:
        return []
    low, high = reach
    start, span = points[0][0], (points[-1][0] - points[0][0]) or 1.0
    alone = len(points) == 1
    lines: list[list[Point]] = [[]]
    for when, value in _thinned(points):
        if value is None:
            lines.append([])
            continue
        # halves: the difference of two huge numbers may be none
        share = (value / 2 - low / 2) / (high / 2 - low / 2)
        x = _WIDTH / 2 if alone else _EDGE + (when - start) / span * (_WIDTH - 2 * _EDGE)
        lines[-1].append((x, _HEIGHT - _EDGE - share * (_HEIGHT - 2 * _EDGE)))
    return [line for line in lines if line]


def _thinned(
    points: Sequence[tuple[float, float | None]],
) -> Sequence[tuple[float, float | None]]:
    """Return fewer points that look the same: of each stretch its least and its greatest."""
    if len(points) <= _MOST_POINTS:
        return points
    size = math.ceil(2 * len(points) / _MOST_POINTS)
    kept: list[tuple[float, float | None]] = [points[0]]
    for begin in range(1, len(points) - 1, size):
        stretch = list(enumerate(points[begin : min(begin + size, len(points) - 1)]))
        known = [(value, number) for number, (_, value) in stretch if value is not None]
        numbers = {min(known)[1], max(known)[1]} if known else {0}
        kept += [point for number, point in stretch if number in numbers]
    return [*kept, points[-1]]


def _clock(moment: Sequence[float], moments: Sequence[float]) -> str:
    """Return the time of the moment, with its day where the moments are days apart."""
    if not moment:
        return ""
    apart = moments[-1] - moments[0]
    form = "%H:%M:%S" if apart < 600 else "%H:%M" if apart < 86_400 else "%d %b %H:%M"
    return datetime.fromtimestamp(moment[0], timezone.utc).astimezone().strftime(form)
