"""The queue: who is served, in which order, and what is written down about it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from clouditia_jupyter.errors import InsufficientResourcesError, InvalidRequestError
from clouditia_jupyter.platform import (
    account,
    admission,
    allocation,
    sessions,
    tickets,
    transitions,
)
from clouditia_jupyter.platform.admission import Application
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.money import to_micro
from clouditia_jupyter.platform.requests import SessionRequest
from clouditia_jupyter.platform.store import Store, schema
from tests.platform.conftest import START, A, B, Bench

pytestmark = pytest.mark.anyio


async def queue(bench: Bench, gpus: dict[str, int], **options: Any) -> str:
    outcome = await bench.apply(gpus, queue=True, **options)
    assert outcome.ticket_id is not None
    return outcome.ticket_id


async def ticket(bench: Bench, ticket_id: str) -> Any:
    return await bench.ask(tickets.find, bench.account, ticket_id)


async def test_too_few_gpus_is_an_error_that_names_them(bench: Bench) -> None:
    await bench.run({A: 2})
    with pytest.raises(InsufficientResourcesError, match="queue_if_unavailable") as caught:
        await bench.apply({A: 1, B: 1})
    assert caught.value.unavailable_gpus == [A]
    assert caught.value.available_gpus == [B]


async def test_fewer_will_do_where_the_request_says_so(bench: Bench) -> None:
    await bench.run({A: 1})
    outcome = await bench.apply({A: 2, B: 1}, allow_partial=True)
    session = await bench.show(outcome.session_id or "")
    assert session.gpus == {A: 1, B: 1}
    assert outcome.unavailable_gpus == [A]
    assert session.row.rate == to_micro(0.98 + 1.54)


async def test_none_at_all_will_not_do_even_in_part(bench: Bench) -> None:
    await bench.run({A: 2})
    with pytest.raises(InsufficientResourcesError):
        await bench.apply({A: 1}, allow_partial=True)


async def test_a_release_serves_the_ticket(bench: Bench) -> None:
    running = await bench.run({A: 2})
    waiting = await queue(bench, {A: 1})
    assert (await ticket(bench, waiting)).status == "pending"
    await bench.stop(running)
    served = await ticket(bench, waiting)
    assert served.status == "completed"
    assert (await bench.show(served.created_session_id)).status == "running"
    tries = await bench.ask(tickets.attempts_of, waiting)
    assert [(item.success, item.unavailable_gpus) for item in tries] == [(False, [A]), (True, [])]
    assert served.attempt_count == 2


async def test_a_ticket_is_processing_while_its_session_is_created(bench: Bench) -> None:
    running = await bench.run({A: 2})
    waiting = await queue(bench, {A: 1})
    bench.launcher.may_start.clear()
    await bench.service.lifecycle.stop(running, "user")
    while (await ticket(bench, waiting)).status == "pending":
        await asyncio.sleep(0.001)
    assert (await ticket(bench, waiting)).status == "processing"
    bench.launcher.may_start.set()
    await bench.service.lifecycle.settle()
    assert (await ticket(bench, waiting)).status == "completed"


async def test_a_ticket_fails_with_its_session(bench: Bench) -> None:
    running = await bench.run({A: 2})
    waiting = await queue(bench, {A: 1})
    bench.launcher.fault = RuntimeError("broken")
    await bench.stop(running)
    failed = await ticket(bench, waiting)
    assert failed.status == "failed"
    assert failed.last_error


async def test_who_comes_later_cannot_overtake(bench: Bench) -> None:
    running = await bench.run({A: 1})
    big = await queue(bench, {A: 2})
    with pytest.raises(InsufficientResourcesError):  # one is free, but it is big's
        await bench.apply({A: 1})
    small = await queue(bench, {A: 1})
    await bench.stop(running)
    assert (await ticket(bench, big)).status == "completed"
    assert (await ticket(bench, small)).status == "pending"


async def test_who_wants_another_type_is_not_held_up(bench: Bench) -> None:
    await bench.run({A: 1})
    await queue(bench, {A: 2, B: 1})
    outcome = await bench.apply({B: 1})
    assert outcome.session_id is not None  # the queue keeps one B of two


async def test_positions_count_rivals_only(bench: Bench) -> None:
    await bench.run({A: 2})
    await bench.run({B: 2})
    first, second, third = [await queue(bench, gpus) for gpus in ({A: 1}, {B: 1}, {A: 1})]
    positions = await bench.ask(tickets.positions)
    assert positions == {first: 1, second: 1, third: 2}


async def test_a_cancelled_ticket_lets_the_next_one_through(bench: Bench) -> None:
    await bench.run({A: 1})
    big = await queue(bench, {A: 2})
    small = await queue(bench, {A: 1})
    for _ in range(2):  # a second call changes nothing
        await bench.ask(tickets.cancel, bench.account, big)
    await bench.service.lifecycle.serve_queue()
    await bench.service.lifecycle.settle()
    assert (await ticket(bench, big)).status == "cancelled"
    assert (await ticket(bench, small)).status == "completed"
    with pytest.raises(InvalidRequestError, match="stop its session"):
        await bench.ask(tickets.cancel, bench.account, small)


async def test_a_ticket_that_nobody_could_pay_fails(bench: Bench) -> None:
    await bench.run({A: 2})
    waiting = await queue(bench, {A: 1})
    bench.clock.turn(1000 * 3600)
    await bench.service.limits.apply()
    await bench.service.lifecycle.settle()
    failed = await ticket(bench, waiting)
    assert failed.status == "failed"
    assert "balance" in failed.last_error


async def test_the_queue_outlives_a_crash(bench: Bench) -> None:
    running = await bench.run({A: 2})
    waiting = await queue(bench, {A: 1})
    await bench.crash()
    assert (await ticket(bench, waiting)).status == "pending"
    await bench.stop(running)
    assert (await ticket(bench, waiting)).status == "completed"


async def test_one_key_makes_one_session_however_often_it_is_sent(bench: Bench) -> None:
    outcomes = await asyncio.gather(*(bench.apply({A: 1}, key="k" * 32) for _ in range(10)))
    assert len({outcome.session_id for outcome in outcomes}) == 1
    assert sum(outcome.is_new for outcome in outcomes) == 1
    assert (await bench.ask(allocation.free))[A] == 1


async def test_one_key_makes_one_ticket(bench: Bench) -> None:
    await bench.run({A: 2})
    outcomes = [await bench.apply({A: 1}, queue=True, key="k" * 32) for _ in range(2)]
    assert outcomes[0].ticket_id == outcomes[1].ticket_id
    assert len(await bench.ask(tickets.pending)) == 1


async def test_a_key_is_for_one_request(bench: Bench) -> None:
    await bench.apply({A: 1}, key="k" * 32, digest="one")
    with pytest.raises(InvalidRequestError, match="new key"):
        await bench.apply({B: 1}, key="k" * 32, digest="two")


WANTS = st.dictionaries(st.sampled_from([A, B]), st.integers(1, 3), min_size=1)
STEPS = st.lists(st.one_of(WANTS, st.integers(0, 20)), max_size=25)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_slots_are_never_shared_and_nobody_is_overtaken(store: Store, steps: list[Any]) -> None:
    catalogue = Catalogue({}, {A: 3, B: 3})

    def play(connection: Connection) -> None:
        for table in reversed(schema.metadata.sorted_tables):
            connection.execute(table.delete())
        allocation.sync(connection, catalogue)
        payer = account.ensure(connection, to_micro(1_000_000), START)
        served: list[str] = []
        for step in steps:
            if isinstance(step, dict):
                request = SessionRequest(gpus=step, vcpu=1, ram=1, storage=1)
                application = Application(account_id=payer, request=request, queue=True)
                outcome = admission.admit(connection, application, catalogue, START)
                if outcome.session_id:
                    served.append(outcome.session_id)
            elif served:
                ended = served.pop(step % len(served))
                gpus = sessions.load(connection, ended).gpus
                transitions.start(connection, ended, START)
                transitions.begin_stop(connection, ended, "user", START)
                transitions.finish_stop(connection, ended, START)
                served += admission.serve_tickets(connection, catalogue, START, frozenset(gpus))
            held: dict[str, int] = {A: 0, B: 0}
            for session_id in served:
                for slug, count in sessions.load(connection, session_id).gpus.items():
                    held[slug] += count
            free = allocation.free(connection)
            assert {slug: 3 - count for slug, count in held.items()} == free
            waiting = tickets.pending(connection)
            if waiting:  # the first in line waits only because it really cannot be served
                first = waiting[0].request["gpus"]
                assert any(free[slug] < count for slug, count in first.items())

    store.run_now(play)
