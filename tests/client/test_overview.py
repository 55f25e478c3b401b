"""Looking at an account again and again, over a real platform and over the stock service."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from clouditia_jupyter.client.manager import GPUManager
from clouditia_jupyter.client.overview import ClockHands, Lookout
from clouditia_jupyter.errors import AuthenticationError
from tests.running import RunningPlatform

A, B = "nvidia-rtx-3080ti", "nvidia-rtx-3060ti"
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)


def manager_of(platform: RunningPlatform) -> GPUManager:
    return GPUManager(platform.where["api_key"], platform.where["computing_url"])


@pytest.fixture
def manager(platform: RunningPlatform) -> Iterator[GPUManager]:
    with manager_of(platform) as made:
        yield made


@pytest.fixture
def stock(stock_platform: RunningPlatform) -> Iterator[GPUManager]:
    with manager_of(stock_platform) as made:
        yield made


def test_what_has_not_changed_is_the_very_same(manager: GPUManager) -> None:
    lookout = Lookout(manager)
    assert lookout.cheap
    first = lookout.look()
    assert lookout.look() is first
    session = manager.create_session(gpu_type=A, vcpu=1, ram=1, verbose=False)
    assert not isinstance(session, dict)
    made = lookout.look()
    assert made is not first
    assert session.id in {one.id for one in made.sessions}
    # the clocks are set once: a cost's moment must not tremble with the network
    assert made.hands is first.hands
    manager.rename_session(session, "renamed")
    renamed = lookout.look()
    before = {one.id: one for one in made.sessions}
    after = {one.id: one for one in renamed.sessions}
    assert after[session.id].name == "renamed"
    assert all(after[one] is before[one] for one in before.keys() - {session.id})
    manager.stop_session(session, verbose=False)


def test_a_key_that_is_refused_is_said_at_once(manager: GPUManager) -> None:
    lookout = Lookout(manager)
    seen = lookout.look()
    good, manager.transport._headers["Authorization"] = (
        manager.transport._headers["Authorization"],
        "Bearer sk_compute_wrong",
    )
    with pytest.raises(AuthenticationError):
        lookout.look()
    manager.transport._headers["Authorization"] = good
    assert lookout.look() is seen


def test_the_stock_service_is_seen_the_same_way(stock: GPUManager) -> None:
    lookout = Lookout(stock)
    assert not lookout.cheap
    holding = stock.create_session(gpu_type=A, gpu_count=2, vcpu=1, ram=1, verbose=False)
    ticket = stock.create_session(
        gpu_type=A, vcpu=1, ram=1, queue_if_unavailable=True, verbose=False
    )
    assert not isinstance(holding, dict)
    assert isinstance(ticket, dict)
    seen = lookout.look()
    assert lookout.look() is seen
    (running,) = [one for one in seen.sessions if one.status == "running"]
    assert (running.hourly_rate, running.cost_since is not None) == (1.52, True)
    (job,) = [one for one in seen.tickets if one.status == "pending"]
    assert [each.success for each in seen.attempts[job.queue_id]] == [False]
    assert seen.balance(seen.hands.here) == pytest.approx(stock.get_balance()["balance"], abs=0.02)
    stock.cancel_queue_job(job.queue_id, verbose=False)
    stock.stop_session(holding, verbose=False)
    ended = {one.id: one for one in lookout.look().sessions}[holding.id]
    assert (ended.status, ended.cost_since) == ("stopped", None)
    assert ended.cost is not None  # what it had cost when it was seen last


def test_clocks_agree_but_for_a_networks_jitter() -> None:
    hands = ClockHands(NOON, 1000.0, 60.0)
    assert hands.local(NOON + timedelta(minutes=1)) == 1001.0
    assert hands.agree(ClockHands(NOON + timedelta(minutes=1), 1001.2, 60.0))
    assert not hands.agree(ClockHands(NOON + timedelta(minutes=1), 1002.0, 60.0))
    assert not hands.agree(ClockHands(NOON, 1000.0, 1.0))
