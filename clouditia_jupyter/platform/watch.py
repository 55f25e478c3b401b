"""Two watches over running sessions: their pods' pulse, and their limits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from clouditia_jupyter.platform import ledger, sessions
from clouditia_jupyter.platform.billing import Due, Meter, next_due
from clouditia_jupyter.platform.clock import Clock
from clouditia_jupyter.platform.launcher import Launcher, PodRecord
from clouditia_jupyter.platform.lifecycle import Lifecycle
from clouditia_jupyter.platform.store import Store

logger = logging.getLogger(__name__)

#: Real seconds between two looks at the pods, and between two notes of it in the store.
BEAT_SECONDS = 2.0
NOTE_SECONDS = 10.0
#: How often in a row a pod has to be missing: one unanswered call proves nothing.
_MISSES = 2


class Pulse:
    """Looks after the pods of running sessions, and gives up those that are gone."""

    def __init__(
        self, store: Store, clock: Clock, launcher: Launcher, lifecycle: Lifecycle
    ) -> None:
        self._store = store
        self._clock = clock
        self._launcher = launcher
        self._lifecycle = lifecycle
        self._seen: dict[str, datetime] = {}
        self._missed: dict[str, int] = {}
        self._noted = 0.0
        self._look_now = asyncio.Event()

    def look_now(self) -> None:
        """Look at the pods without waiting for the next beat: one has just not answered."""
        self._look_now.set()

    async def run(self) -> None:
        """Look at the pods, beat after beat."""
        while True:
            self._look_now.clear()
            try:
                await self.beat()
            except Exception:
                logger.exception("the pods could not be looked at")
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._look_now.wait(), BEAT_SECONDS)

    async def beat(self, misses: int = _MISSES) -> None:
        """Look at every pod once, and give up those missing ``misses`` times in a row."""
        rows = await self._store.run(sessions.in_status, "running")
        alive = await asyncio.gather(*(self._is_alive(row) for row in rows))
        now = self._clock.now()
        gone = []
        for row, up in zip(rows, alive, strict=True):
            if up:
                self._seen[row.id] = now
                self._missed.pop(row.id, None)
            elif up is False:
                self._missed[row.id] = self._missed.get(row.id, 0) + 1
                if self._missed[row.id] >= misses:
                    gone.append(row.id)
        await self._note(gone)
        for session_id in gone:
            del self._missed[session_id]
            await self._lifecycle.lose(session_id)
        self._look_again_if(self._missed)

    async def note(self) -> None:
        """Write down when each pod was last seen."""
        seen, self._seen = self._seen, {}
        await self._store.run(_mark_seen, seen)
        self._noted = asyncio.get_running_loop().time()

    async def _note(self, gone: list[str]) -> None:
        due = asyncio.get_running_loop().time() - self._noted >= NOTE_SECONDS
        if self._seen and (due or gone):
            await self.note()

    def _look_again_if(self, missed: dict[str, int]) -> None:
        if missed:
            asyncio.get_running_loop().call_later(BEAT_SECONDS / 4, self.look_now)

    async def _is_alive(self, row: Row[Any]) -> bool | None:
        """Say whether the pod lives; None where nobody can tell, as with no file left to open."""
        try:
            return await self._launcher.alive(PodRecord.from_json(row.pod))
        except Exception:
            logger.exception("the pod of session %s could not be looked at", row.id[:8])
            return None


class Limits:
    """Stops sessions at their cost or duration limit, and when the credit is used up."""

    def __init__(self, store: Store, clock: Clock, lifecycle: Lifecycle) -> None:
        self._store = store
        self._clock = clock
        self._lifecycle = lifecycle

    async def run(self) -> None:
        """Wait for the next limit, apply it, and so on."""
        changed = self._lifecycle.meters_changed
        while True:
            changed.clear()
            due = await self.apply()
            waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(changed.wait())]
            if due is not None:
                waits.append(asyncio.ensure_future(self._clock.sleep_until(due.at)))
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    async def apply(self) -> Due | None:
        """Apply every limit that has passed, in order, each at its own moment.

        Returns
        -------
        Due or None
            The next one to come.
        """
        while True:
            now = self._clock.now()
            due = await self._store.run(_next_due, now)
            if due is None or due.at > now:
                return due
            for session_id in due.session_ids:
                await self._lifecycle.stop(session_id, due.reason, due.at)


def _next_due(connection: Connection, now: datetime) -> Due | None:
    accounts: dict[str, list[Meter]] = {}
    for row in sessions.in_status(connection, "running"):
        accounts.setdefault(row.account_id, []).append(sessions.meter_of(row))
    dues = [
        next_due(meters, ledger.credit(connection, account_id), now)
        for account_id, meters in accounts.items()
    ]
    return min((due for due in dues if due is not None), default=None)


def _mark_seen(connection: Connection, seen: dict[str, datetime]) -> None:
    for session_id, when in seen.items():
        sessions.mark_seen(connection, [session_id], when)
