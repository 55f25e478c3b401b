"""Noticing that nobody needs the platform."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from clouditia_jupyter.platform.activity import Activity

pytestmark = pytest.mark.anyio


async def test_it_is_not_idle_while_something_is_needed() -> None:
    answers = [True, True, False]

    async def is_needed() -> bool:
        return answers.pop(0)

    await Activity().wait_until_idle(0.001, is_needed)
    assert answers == []


async def test_it_is_not_idle_during_a_request() -> None:
    activity, may_end = Activity(), asyncio.Event()
    asked: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await may_end.wait()

    async def is_needed() -> bool:
        asked.append(True)
        return False

    served: Any = activity.middleware(app)({"type": "http"}, None, None)
    request = asyncio.ensure_future(served)
    await asyncio.sleep(0)
    idle = asyncio.ensure_future(activity.wait_until_idle(0.001, is_needed))
    done, _ = await asyncio.wait([idle], timeout=0.05)
    assert not done
    assert not asked
    may_end.set()
    await request
    await idle
    assert asked == [True]
