"""The clock: real or faster, and without a gap across restarts."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from clouditia_jupyter.platform import clock
from clouditia_jupyter.platform.clock import Anchor, PlatformClock, load_anchor
from clouditia_jupyter.platform.store import Store
from tests.platform.conftest import START


class Real:
    """The machine's clock, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = START
        monkeypatch.setattr(clock, "_real_now", lambda: self.now)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Real:
    return Real(monkeypatch)


def test_time_runs_at_its_rate(real: Real) -> None:
    fast = PlatformClock(Anchor(START, START, 60))
    real.now += timedelta(seconds=2)
    assert fast.now() == START + timedelta(minutes=2)


def test_time_never_goes_back(real: Real) -> None:
    steady = PlatformClock(Anchor(START, START, 1))
    real.now += timedelta(hours=1)
    before = steady.now()
    real.now -= timedelta(minutes=30)
    assert steady.now() == before


def test_time_goes_on_while_nobody_looks(real: Real, store: Store) -> None:
    store.run_now(load_anchor, 60.0)
    real.now += timedelta(hours=1)
    assert PlatformClock(store.run_now(load_anchor, 60.0)).now() == START + timedelta(hours=60)


def test_a_new_rate_begins_where_the_old_one_got_to(real: Real, store: Store) -> None:
    store.run_now(load_anchor, 60.0)
    real.now += timedelta(hours=1)
    slow = PlatformClock(store.run_now(load_anchor, 1.0))
    assert slow.now() == START + timedelta(hours=60)
    real.now += timedelta(hours=1)
    assert slow.now() == START + timedelta(hours=61)
    assert PlatformClock(store.run_now(load_anchor)).now() == START + timedelta(hours=61)


def test_sleeping_is_short_when_time_is_fast() -> None:
    now = datetime.now(timezone.utc)
    fast = PlatformClock(Anchor(now, now, 1_000_000))
    until = now + timedelta(hours=1)
    asyncio.run(fast.sleep_until(until))
    assert fast.now() >= until
