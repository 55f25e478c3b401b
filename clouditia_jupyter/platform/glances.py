"""What the pods of running sessions say of themselves, asked for now and then and kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row

from clouditia_jupyter.platform.launcher import PodRecord
from clouditia_jupyter.platform.proxy import Proxy

#: Seconds for which an answer is good: however many ask, a pod is asked no more often.
_FRESH_SECONDS = 1.5
#: Pods that are asked in one go; where there are more, it is the turn of those asked longest ago.
_MOST_AT_ONCE = 32
#: Seconds that a pod may take, and that somebody who asks is kept waiting for all of them.
_PATIENCE_SECONDS = 2.0
_WAIT_SECONDS = 0.3


class Glances:
    """The last word of every pod."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._asked: dict[str, float] = {}
        self._last: dict[str, dict[str, Any]] = {}
        self._round: asyncio.Task[None] | None = None

    async def of(self, running: Sequence[Row[Any]]) -> dict[str, dict[str, Any]]:
        """Return ``{session_id: {"runs", "use"}}``; a pod that is slow is told of next time."""
        known = {row.id for row in running}
        for gone in self._asked.keys() - known:
            self._asked.pop(gone, None)
            self._last.pop(gone, None)
        if self._round is None or self._round.done():
            now = time.monotonic()
            due = [row for row in running if now - self._asked.get(row.id, 0.0) >= _FRESH_SECONDS]
            if due:
                due.sort(key=lambda row: self._asked.get(row.id, 0.0))
                self._round = asyncio.ensure_future(self._ask(due[:_MOST_AT_ONCE]))
        if self._round is not None and not self._round.done():
            await asyncio.wait({self._round}, timeout=_WAIT_SECONDS)
        return {one: self._last[one] for one in known & self._last.keys()}

    async def close(self) -> None:
        """Ask no more."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)

    async def _ask(self, rows: Sequence[Row[Any]]) -> None:
        now = time.monotonic()
        self._asked.update((row.id, now) for row in rows)
        answers = await asyncio.gather(*(self._glance(row) for row in rows))
        for row, answer in zip(rows, answers, strict=True):
            if answer is not None and row.id in self._asked:
                self._last[row.id] = {"runs": answer["runs"], "use": answer["use"]}

    async def _glance(self, row: Row[Any]) -> dict[str, Any] | None:
        record = PodRecord.from_json(row.pod)
        return await self._proxy.ask(record, "/pod/glance/", _PATIENCE_SECONDS)
