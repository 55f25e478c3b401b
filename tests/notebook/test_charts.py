"""Charts: well-formed whatever the values, inside their drawing, and with words for them."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouditia_jupyter.notebook.charts import amount, line_chart, sparkline

ANY = st.floats() | st.none()
#: Values that most charts show.
SANE = st.floats(-1e6, 1e6)


def _drawn(chart: str) -> list[tuple[float, float]]:
    """Return every point that a chart draws values at."""
    paths = [path.get("d", "") for path in ET.fromstring(chart).iter("path")][1:]
    numbers = [re.findall(r"(-?[\d.]+|nan|inf) (-?[\d.]+|nan|inf)", path) for path in paths]
    return [(float(x), float(y)) for pairs in numbers for x, y in pairs]


def _title(chart: str) -> str:
    return next(ET.fromstring(chart).iter("title")).text or ""


@given(st.lists(ANY, max_size=600))
def test_any_values_give_a_well_formed_drawing_within_its_frame(
    values: list[float | None],
) -> None:
    times = [1_700_000_000.0 + number for number in range(len(values))]
    for chart in (
        sparkline(values, label="GPU use", unit="%"),
        line_chart(times, values, label="Cost", unit="EUR"),
    ):
        for x, y in _drawn(chart):
            assert 0 <= x <= 100
            assert 0 <= y <= 30
        known = [value for value in values if value is not None and math.isfinite(value)]
        assert bool(_drawn(chart)) == bool(known)
        assert ("no values yet" in _title(chart)) == (not known)


@given(st.lists(SANE, min_size=4, max_size=20), st.integers(60, 200), st.integers(0, 2999))
def test_many_values_stay_a_small_text_that_shows_the_extremes(
    few: list[float], times: int, where: int
) -> None:
    values = few * times
    values[where % len(values)] = 2e6
    chart = sparkline(values, label="Memory", unit="MB")
    assert len(chart) < 16_000
    heights = {y for _, y in _drawn(chart)}
    least, greatest = min([0.0, *values]), max([0.0, *values])
    span = (greatest - least) or 1.0
    for extreme in (min(values), max(values)):
        y = 29 - (extreme - least) / span * 28
        assert min(abs(y - drawn) for drawn in heights) < 0.011


def test_a_gap_breaks_the_line() -> None:
    chart = sparkline([1, 2, math.nan, 3, 4], label="Use", unit="%")
    assert chart.count('class="clouditia-stroke"') == 2


def test_one_value_is_a_dot_and_not_a_past_that_nobody_saw() -> None:
    assert "clouditia-dot" in sparkline([7], label="Use", unit="%")
    assert _title(sparkline([7], label="Use", unit="%")) == "Use: now 7 %"


def test_the_words_say_what_the_line_shows() -> None:
    begin = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
    times = [begin + timedelta(seconds=60 * number) for number in range(3)]
    chart = line_chart(times, [0.0, 0.5, 0.25], label="Cost", unit="EUR")
    local = begin.astimezone()
    end = local + timedelta(minutes=2)
    assert _title(chart) == (
        f"Cost: now 0.25 EUR, between 0 EUR and 0.50 EUR, {local:%H:%M:%S} to {end:%H:%M:%S}"
    )
    assert ET.fromstring(chart).find(".//svg[@role='img']") is not None


def test_a_newest_value_that_is_missing_is_not_the_one_before() -> None:
    assert "now unknown" in _title(sparkline([50, None], label="Use", unit="%"))


def test_labels_of_others_are_text() -> None:
    name = "<img src=x onerror=alert(1)>\"'&"
    for chart in (
        sparkline([1, 2], label=name, unit=name),
        line_chart([1, 2], [1, 2], label=name, unit=name),
    ):
        assert "<img" not in chart
        assert name in _title(chart)


def test_the_same_values_give_the_same_text() -> None:
    made = {sparkline([1, None, 3.5], label="Use", unit="%") for _ in range(3)}
    assert len(made) == 1


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "EUR", "0 EUR"),
        (0.0512, "EUR", "0.0512 EUR"),
        (0.03, "GB", "0.03 GB"),
        (3.5, "EUR", "3.50 EUR"),
        (43.4, "%", "43 %"),
        (24_576, "MB", "24,576 MB"),
        (1e300, "", "1e+300"),
        (-2.5, "", "-2.50"),
    ],
)
def test_numbers_are_written_to_be_read(value: float, unit: str, text: str) -> None:
    assert amount(value, unit) == text
