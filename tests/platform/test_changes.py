"""Waiting for a change: woken by it, not before, and never for ever."""

from __future__ import annotations

import asyncio

import pytest

from clouditia_jupyter.platform.changes import Changes

pytestmark = pytest.mark.anyio


class Value:
    """Something that changes."""

    def __init__(self) -> None:
        self.now = "old"
        self.reads = 0

    async def read(self) -> str:
        self.reads += 1
        return self.now


def wait(changes: Changes, value: Value, seconds: float = 30) -> asyncio.Future[str]:
    return asyncio.ensure_future(
        changes.wait_while("s", value.read, lambda read: read, "old", seconds)
    )


async def test_what_has_changed_already_is_answered_at_once() -> None:
    value = Value()
    value.now = "new"
    assert await wait(Changes(), value) == "new"


async def test_a_change_wakes_everybody_who_waits() -> None:
    changes, value = Changes(), Value()
    waiting = [wait(changes, value) for _ in range(3)]
    while value.reads < 3:
        await asyncio.sleep(0)
    value.now = "new"
    changes.notify("other")
    changes.notify("s")
    assert await asyncio.gather(*waiting) == ["new"] * 3
    assert changes._bells == {}


async def test_a_false_alarm_is_slept_through() -> None:
    changes, value = Changes(), Value()
    waiting = wait(changes, value)
    for reads in (1, 2, 3):
        while value.reads < reads:
            await asyncio.sleep(0)
        changes.notify("s")
    value.now = "new"
    changes.notify("s")
    assert await waiting == "new"


async def test_the_wait_has_an_end() -> None:
    assert await wait(Changes(), Value(), 0.01) == "old"
    assert await wait(Changes(), Value(), 0) == "old"


async def test_a_leaving_platform_keeps_nobody() -> None:
    changes, value = Changes(), Value()
    waiting = wait(changes, value)
    while not value.reads:
        await asyncio.sleep(0)
    changes.close()
    assert await waiting == "old"
    assert await wait(changes, value) == "old"
