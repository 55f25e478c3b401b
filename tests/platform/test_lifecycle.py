"""Sessions from request to end, on pods that only seem."""

from __future__ import annotations

import asyncio
import errno
from typing import Any

import pytest
from sqlalchemy import Connection, select

from clouditia_jupyter.errors import AuthenticationError, InsufficientCreditError, UnsupportedError
from clouditia_jupyter.models import CREATION_STEPS
from clouditia_jupyter.platform import (
    allocation,
    bodies,
    keys,
    ledger,
    sessions,
)
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.launcher import PodRecord
from clouditia_jupyter.platform.money import to_micro
from clouditia_jupyter.platform.routes import sessions as routes
from clouditia_jupyter.platform.store import schema
from tests.platform.conftest import A, B, Bench, lost

pytestmark = pytest.mark.anyio
HOUR = 3600


async def test_creation_passes_every_step_in_order(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed = []
    notify = bench.service.changes.notify

    def note(session_id: str) -> None:
        row = bench.service.store.run_now(sessions.load, session_id).row
        passed.append(row.creation_step)
        notify(session_id)

    monkeypatch.setattr(bench.service.changes, "notify", note)
    await bench.run()
    assert ["queued", *passed] == list(CREATION_STEPS)


async def test_creation_answers_before_the_pod_is_there(bench: Bench) -> None:
    bench.launcher.may_start.clear()
    outcome = await bench.apply({A: 1})
    session = await bench.show(outcome.session_id or "")
    assert session.status in ("pending", "creating")
    assert session.row.started_at is None
    bench.launcher.may_start.set()
    await bench.service.lifecycle.settle()
    assert (await bench.show(session.id)).status == "running"


async def test_a_pod_that_does_not_start_costs_nothing(bench: Bench) -> None:
    bench.launcher.fault = lost("the disk is full")
    outcome = await bench.apply({A: 2})
    await bench.service.lifecycle.settle()
    session = await bench.show(outcome.session_id or "")
    assert (session.status, session.row.creation_step) == ("failed", "error")
    assert session.row.creation_error == "the disk is full"
    assert await bench.ask(allocation.free) == {A: 2, B: 2}
    assert await bench.ask(ledger.credit, bench.account) == to_micro(100)


async def test_an_unexpected_fault_does_not_leak_into_the_answer(bench: Bench) -> None:
    bench.launcher.fault = RuntimeError("secret")
    outcome = await bench.apply({A: 1})
    await bench.service.lifecycle.settle()
    row = (await bench.show(outcome.session_id or "")).row
    assert row.status == "failed"
    assert "secret" not in row.creation_error


async def test_stopping_during_creation_ends_the_pod_and_costs_nothing(bench: Bench) -> None:
    bench.launcher.may_start.clear()
    outcome = await bench.apply({A: 1})
    session_id = outcome.session_id or ""
    await bench.service.lifecycle.stop(session_id, "user")
    bench.launcher.may_start.set()
    await bench.service.lifecycle.settle()
    session = await bench.show(session_id)
    assert (session.status, session.row.stop_reason) == ("stopped", "user")
    assert not bench.launcher.running
    assert await bench.ask(allocation.free) == {A: 2, B: 2}
    assert await bench.ask(ledger.credit, bench.account) == to_micro(100)


async def test_a_session_is_billed_from_start_to_end(bench: Bench) -> None:
    session_id = await bench.run({A: 1, B: 2})
    bench.clock.turn(2.5 * HOUR)
    session = await bench.stop(session_id)
    expected = to_micro((0.98 + 2 * 1.54) * 2.5)
    assert session.row.accrued == expected
    assert await bench.ask(ledger.credit, bench.account) == to_micro(100) - expected
    bench.clock.turn(HOUR)
    assert session.meter.cost(bench.clock.now()) == expected


async def test_the_charge_is_written_once_whatever_is_repeated(bench: Bench) -> None:
    session_id = await bench.run()
    bench.clock.turn(HOUR)
    for _ in range(3):
        await bench.stop(session_id)
        bench.clock.turn(HOUR)
    rows = await bench.ask(_charges, session_id)
    assert [row.amount for row in rows] == [-to_micro(0.98)]


async def test_gpus_stay_taken_until_the_pod_is_gone(bench: Bench) -> None:
    session_id = await bench.run({A: 2})
    bench.launcher.may_stop.clear()
    await bench.service.lifecycle.stop(session_id, "user")
    assert (await bench.show(session_id)).status == "stopping"
    assert (await bench.ask(allocation.free))[A] == 0
    bench.launcher.may_stop.set()
    await bench.service.lifecycle.settle()
    assert (await bench.show(session_id)).status == "stopped"
    assert (await bench.ask(allocation.free))[A] == 2


async def test_a_sessions_keys_end_with_it(bench: Bench) -> None:
    session_id = await bench.run()
    now = bench.clock.now()
    made = [
        await bench.ask(keys.issue, bench.account, session_id, name, now) for name in ("one", "two")
    ]
    for key in made:
        assert (await bench.ask(keys.owner, key)).session_id == session_id
    await bench.stop(session_id)
    for key in made:
        with pytest.raises(AuthenticationError, match="revoked"):
            await bench.ask(keys.owner, key)


async def test_an_added_gpu_costs_from_when_it_was_added(bench: Bench) -> None:
    session_id = await bench.run({A: 1})
    bench.clock.turn(HOUR)
    await bench.service.lifecycle.add_gpus(await bench.show(session_id), {B: 1, A: 1})
    bench.clock.turn(HOUR)
    session = await bench.stop(session_id)
    assert session.gpus == {A: 2, B: 1}
    assert session.row.accrued == to_micro(0.98 + 0.98 * 2 + 1.54)


@pytest.mark.parametrize(
    ("limits", "hours", "reason", "cost"),
    [
        ({"cost_limit": to_micro(1.96)}, 2.0, "cost_limit", 1.96),
        ({"duration_limit": 1800}, 0.5, "duration_limit", 0.49),
        ({"cost_limit": to_micro(0.98), "duration_limit": 7200}, 1.0, "cost_limit", 0.98),
    ],
)
async def test_a_limit_stops_the_session_at_its_moment(
    bench: Bench, limits: dict[str, Any], hours: float, reason: str, cost: float
) -> None:
    session_id = await bench.run(**limits)
    bench.clock.turn(10 * HOUR)  # the watch is late, the bill is not
    await bench.service.limits.apply()
    await bench.service.lifecycle.settle()
    session = await bench.show(session_id)
    assert (session.status, session.row.stop_reason) == ("stopped", reason)
    assert (session.row.ended_at - session.row.started_at).total_seconds() == hours * HOUR
    assert session.row.accrued == to_micro(cost)


async def test_the_watch_wakes_for_a_limit_by_itself(bench: Bench) -> None:
    session_id = await bench.run(duration_limit=60)
    await asyncio.sleep(0)

    async def read() -> sessions.Session:
        return await bench.show(session_id)

    waiting = asyncio.ensure_future(
        bench.service.changes.wait_while(session_id, read, lambda s: s.status, "running", 30)
    )
    while not bench.clock._sleepers:
        await asyncio.sleep(0.001)
    bench.clock.turn(60)
    assert (await waiting).row.stop_reason == "duration_limit"


async def test_when_the_credit_is_used_up_everything_stops(bench: Bench) -> None:
    first = await bench.run({A: 1})
    bench.clock.turn(10 * HOUR)
    second = await bench.run({B: 2})
    bench.clock.turn(1000 * HOUR)
    await bench.service.limits.apply()
    await bench.service.lifecycle.settle()
    ended = [await bench.show(session_id) for session_id in (first, second)]
    assert [session.row.stop_reason for session in ended] == ["credit", "credit"]
    assert ended[0].row.ended_at == ended[1].row.ended_at
    assert await bench.ask(ledger.credit, bench.account) == 0
    with pytest.raises(InsufficientCreditError, match="top-up"):
        await bench.apply({A: 1})


async def test_a_user_who_stops_after_the_limit_pays_up_to_the_limit(bench: Bench) -> None:
    session_id = await bench.run(cost_limit=to_micro(0.49))
    bench.clock.turn(5 * HOUR)
    session = await bench.stop(session_id)
    assert session.row.accrued == to_micro(0.49)
    assert session.row.stop_reason == "cost_limit"


async def test_a_lost_pod_is_billed_until_last_seen(bench: Bench) -> None:
    session_id = await bench.run()
    bench.clock.turn(HOUR)
    await bench.service.pulse.beat()
    bench.launcher.running.clear()
    bench.clock.turn(HOUR)
    await bench.service.pulse.beat()
    assert (await bench.show(session_id)).status == "running"  # one miss proves nothing
    await bench.service.pulse.beat()
    session = await bench.show(session_id)
    assert (session.status, session.row.stop_reason) == ("failed", "pod_lost")
    assert session.row.accrued == to_micro(0.98)
    assert (await bench.ask(allocation.free))[A] == 2


async def test_a_pod_that_cannot_be_looked_at_is_not_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_id = await bench.run()

    async def blind(record: PodRecord) -> bool:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(bench.launcher, "alive", blind)
        for _ in range(5):
            await bench.service.pulse.beat()
        await bench.service.pulse.beat(misses=1)  # as a platform does that has just begun
    assert (await bench.show(session_id)).status == "running"
    assert not bench.launcher.cleared
    bench.launcher.running.clear()
    await bench.service.pulse.beat(misses=1)
    assert (await bench.show(session_id)).status == "failed"


async def test_real_devices_reach_the_pod(bench: Bench) -> None:
    await bench.ask(_make_real, A)
    await bench.run({A: 2, B: 1})
    assert bench.launcher.specs[-1].cuda_devices == (f"GPU-{A}#0", f"GPU-{A}#1")


def _charges(connection: Connection, session_id: str) -> list[Any]:
    return list(
        connection.execute(select(schema.ledger).where(schema.ledger.c.session_id == session_id))
    )


def _make_real(connection: Connection, slug: str) -> None:
    slots = schema.gpu_slots
    connection.execute(
        slots.update().where(slots.c.slug == slug).values(device="GPU-" + slots.c.id)
    )


async def test_a_pod_is_told_how_long_the_limits_let_it_run(bench: Bench) -> None:
    await bench.run({A: 1})
    limited = await bench.run({B: 1}, duration_limit=HOUR, cost_limit=to_micro(1.54 / 2))
    assert [left for _, left in bench.launcher.told] == [None, HOUR / 2]
    bench.clock.turn(HOUR / 4)
    await bench.service.lifecycle.add_gpus(await bench.show(limited), {B: 1})
    assert bench.launcher.told[-1][1] == HOUR / 8


async def test_a_pod_that_ended_at_its_limit_by_itself_is_billed_to_the_limit(bench: Bench) -> None:
    session_id = await bench.run(duration_limit=HOUR)
    bench.launcher.ended_at_limit |= bench.launcher.running
    bench.launcher.running.clear()
    bench.clock.turn(5 * HOUR)
    await bench.crash()
    await bench.service.lifecycle.settle()
    session = await bench.show(session_id)
    assert (session.status, session.row.stop_reason) == ("stopped", "duration_limit")
    assert session.row.accrued == to_micro(0.98)


async def test_files_go_where_the_user_said_so_alone(bench: Bench) -> None:
    stopped = await bench.run()
    await bench.stop(stopped)
    limited = await bench.run(duration_limit=60)
    bench.clock.turn(60)
    await bench.service.limits.apply()
    await bench.service.lifecycle.settle()
    assert (await bench.show(limited)).status == "stopped"
    assert list(bench.launcher.cleared.values()) == [False, True]


async def test_a_running_session_is_given_no_other_real_gpu(bench: Bench) -> None:
    session_id = await bench.run({A: 1})
    # stands in for a machine with two real ones
    bench.service.catalogue = Catalogue({A: ["GPU-1", "GPU-2"]})
    body = bodies.AddGPU(session_id=session_id, gpu_type=A)
    with pytest.raises(UnsupportedError, match="stop it and create one"):
        await routes.add_gpu(body, bench.service, bench.account)
    assert (await bench.show(session_id)).gpus == {A: 1}
    assert (await bench.ask(allocation.free))[A] == 1
