"""Sessions whose platform crashes, or whose database fails, in the middle of something."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from clouditia_jupyter.platform import (
    allocation,
    lifecycle,
    transitions,
)
from clouditia_jupyter.platform.money import to_micro
from tests.platform.conftest import START, A, B, Bench

pytestmark = pytest.mark.anyio
HOUR = 3600


async def test_after_a_crash_running_sessions_are_adopted(bench: Bench) -> None:
    session_id = await bench.run()
    bench.clock.turn(HOUR)
    await bench.crash()
    session = await bench.show(session_id)
    assert session.status == "running"
    bench.clock.turn(HOUR)
    assert (await bench.stop(session_id)).row.accrued == to_micro(2 * 0.98)


async def test_after_a_crash_a_pod_that_is_gone_is_billed_until_last_seen(bench: Bench) -> None:
    session_id = await bench.run(duration_limit=3 * HOUR)
    bench.clock.turn(HOUR)
    await bench.service.pulse.beat()
    await bench.service.pulse.note()
    bench.launcher.running.clear()
    bench.clock.turn(5 * HOUR)
    await bench.crash()
    session = await bench.show(session_id)
    assert (session.status, session.row.stop_reason) == ("failed", "pod_lost")
    assert session.row.accrued == to_micro(0.98)


async def test_after_a_crash_a_limit_that_passed_meanwhile_holds(bench: Bench) -> None:
    session_id = await bench.run(duration_limit=HOUR)
    bench.clock.turn(5 * HOUR)
    await bench.crash()
    await bench.service.lifecycle.settle()
    session = await bench.show(session_id)
    assert (session.status, session.row.stop_reason) == ("stopped", "duration_limit")
    assert (session.row.ended_at - START).total_seconds() == HOUR
    assert session.row.accrued == to_micro(0.98)


async def test_after_a_crash_creation_and_stopping_go_on(bench: Bench) -> None:
    stopping = await bench.run({A: 1})
    bench.launcher.may_stop.clear()
    await bench.service.lifecycle.stop(stopping, "user")
    bench.launcher.may_start.clear()
    creating = (await bench.apply({B: 1})).session_id or ""
    while (await bench.show(creating)).row.creation_step != "deploying":
        await asyncio.sleep(0.001)
    await bench.crash()
    bench.launcher.may_start.set()
    bench.launcher.may_stop.set()
    await bench.service.lifecycle.settle()
    assert (await bench.show(creating)).status == "running"
    assert (await bench.show(stopping)).status == "stopped"
    assert await bench.ask(allocation.free) == {A: 2, B: 1}


async def test_a_crash_while_a_pod_becomes_the_session_leaves_no_pod_behind(bench: Bench) -> None:
    bench.launcher.may_assign.clear()
    session_id = (await bench.apply({A: 1})).session_id or ""
    while not bench.launcher.specs:
        await asyncio.sleep(0.001)
    (first,) = bench.launcher.running
    bench.launcher.may_assign.set()
    await bench.crash()
    await bench.service.lifecycle.settle()
    assert (await bench.show(session_id)).status == "running"
    assert len(bench.launcher.running) == 1
    assert first not in bench.launcher.running


async def test_a_stop_in_the_moment_of_the_start_is_carried_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.launcher.may_assign.clear()
    session_id = (await bench.apply({A: 1})).session_id or ""
    while not bench.launcher.specs:
        await asyncio.sleep(0.001)
    run = bench.service.store.run

    async def stop_first(fn: Any, *args: Any) -> Any:
        done = await run(fn, *args)
        if fn is transitions.start:  # it is committed, and its task does not know yet
            await bench.service.lifecycle.stop(session_id, "user")
        return done

    monkeypatch.setattr(bench.service.store, "run", stop_first)
    bench.launcher.may_assign.set()
    await bench.service.lifecycle.settle()
    assert (await bench.show(session_id)).status == "stopped"
    assert not bench.launcher.running
    assert await bench.ask(allocation.free) == {A: 2, B: 2}


async def test_a_database_that_fails_for_a_while_leaves_no_session_half_made(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "_RETRY_SECONDS", 0.01)
    run, failures = bench.service.store.run, 0

    async def fail_at_times(fn: Any, *args: Any) -> Any:
        nonlocal failures
        if fn in (transitions.place, transitions.fail_creation) and failures < 3:
            failures += 1
            raise OperationalError("", {}, Exception("disk is full"))
        return await run(fn, *args)

    monkeypatch.setattr(bench.service.store, "run", fail_at_times)
    session_id = (await bench.apply({A: 2})).session_id or ""
    await bench.service.lifecycle.settle()
    assert failures == 3
    assert (await bench.show(session_id)).status == "failed"
    assert await bench.ask(allocation.free) == {A: 2, B: 2}
    assert not bench.launcher.running
