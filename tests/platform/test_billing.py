"""The arithmetic of cost and limits."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clouditia_jupyter.platform.billing import Meter, credit_due, next_due
from clouditia_jupyter.platform.money import cost_of, time_for, to_eur, to_micro

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
RATES = st.integers(1, 50_000_000)
AMOUNTS = st.integers(1, 10_000_000_000)


def meter(**changes: Any) -> Meter:
    values: dict[str, Any] = {
        "session_id": "s",
        "rate": to_micro(0.98),
        "accrued": 0,
        "rate_since": START,
        "started_at": START,
        "ended_at": None,
        "cost_limit": None,
        "duration_limit": None,
    }
    return Meter(**{**values, **changes})


def test_an_hour_costs_the_hourly_rate() -> None:
    assert cost_of(to_micro(0.98), timedelta(hours=1)) == to_micro(0.98)
    assert to_eur(to_micro(2.45)) == 2.45


@given(amount=AMOUNTS, rate=RATES)
def test_time_for_is_the_first_microsecond_that_costs_as_much(amount: int, rate: int) -> None:
    moment = time_for(amount, rate)
    if moment < timedelta(days=900 * 365):
        assert cost_of(rate, moment) >= amount
        assert cost_of(rate, moment - timedelta(microseconds=1)) < amount


@given(limit=AMOUNTS, rate=RATES, seconds=st.integers(0, 10**9))
def test_the_cost_never_exceeds_its_limit(limit: int, rate: int, seconds: int) -> None:
    running = meter(rate=rate, cost_limit=limit)
    assert running.cost(START + timedelta(seconds=seconds)) <= limit
    due = running.due()
    assert due is not None
    assert running.cost(due.at) <= limit


@given(rates=st.lists(RATES, min_size=1, max_size=8), credit=AMOUNTS, ahead=st.integers(0, 10**9))
def test_at_its_due_moment_the_credit_is_used_up(rates: list[int], credit: int, ahead: int) -> None:
    meters = [meter(session_id=str(n), rate=rate) for n, rate in enumerate(rates)]
    due = credit_due(meters, credit, START + timedelta(seconds=ahead))
    assert due is not None
    if due.at < START + timedelta(days=900 * 365):
        spent = sum(item.uncapped(due.at) for item in meters)
        assert credit <= spent <= credit + 3 * len(meters)


def test_what_ended_costs_no_more() -> None:
    ended = meter(accrued=5, ended_at=START + timedelta(hours=1))
    assert ended.cost(START + timedelta(days=9)) == 5
    assert ended.duration(START + timedelta(days=9)) == timedelta(hours=1)
    assert ended.due() is None
    assert credit_due([ended], 100, START) is None


def test_what_has_not_started_costs_nothing() -> None:
    waiting = meter(rate_since=None, started_at=None, duration_limit=1)
    assert waiting.cost(START + timedelta(days=9)) == 0
    assert waiting.duration(START) == timedelta()
    assert waiting.due() is None


def test_the_first_of_several_limits_counts() -> None:
    meters = [
        meter(session_id="a", duration_limit=7200),
        meter(session_id="b", duration_limit=3600),
    ]
    due = next_due(meters, to_micro(100), START)
    assert due is not None
    assert (due.session_ids, due.reason) == (("b",), "duration_limit")
    due = next_due(meters, to_micro(0.98), START)
    assert due is not None
    assert (due.session_ids, due.reason) == (("a", "b"), "credit")
    assert due.at - START < timedelta(minutes=31)
