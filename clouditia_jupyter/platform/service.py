"""The platform's parts, put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row

from clouditia_jupyter.platform import account, allocation, keys, sessions, tickets
from clouditia_jupyter.platform.activity import Activity
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.changes import Changes
from clouditia_jupyter.platform.clock import Clock
from clouditia_jupyter.platform.glances import Glances
from clouditia_jupyter.platform.launcher import Launcher, PodRecord
from clouditia_jupyter.platform.lifecycle import Lifecycle
from clouditia_jupyter.platform.proxy import Proxy
from clouditia_jupyter.platform.store import Store
from clouditia_jupyter.platform.watch import Limits, Pulse

logger = logging.getLogger(__name__)

_RESTART_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a platform presents itself.

    Attributes
    ----------
    url
        Where it answers, without a slash at the end.
    credit
        Micro-euros that a new account is granted.
    stock
        Whether to serve only what clouditia.com serves.
    clock_rate
        Simulated seconds per real one.
    """

    url: str
    api_key: str
    credit: int
    stock: bool = False
    clock_rate: float = 1.0

    @property
    def computing_url(self) -> str:
        """The base URL of the computing API."""
        return f"{self.url}/jobs"

    @property
    def code_editor_url(self) -> str:
        """The base URL of the code-editor API."""
        return f"{self.url}/code-editor"


class Service:
    """Everything behind the routes.

    Attributes
    ----------
    store, clock, catalogue, changes, lifecycle, pulse, limits, proxy, glances, activity
        The parts.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        catalogue: Catalogue,
        launcher: Launcher,
    ) -> None:
        self.settings = settings
        self.store = store
        self.clock = clock
        self.catalogue = catalogue
        self.changes = Changes()
        self.activity = Activity()
        self.lifecycle = Lifecycle(
            store,
            clock,
            catalogue,
            launcher,
            self.changes,
            # from which the published client's code in a session finds the way back
            {"CLOUDITIA_API_URL": f"{settings.code_editor_url}/api/internal/"},
        )
        self.pulse = Pulse(store, clock, launcher, self.lifecycle)
        self.limits = Limits(store, clock, self.lifecycle)
        self.proxy = Proxy(on_silence=self.pulse.look_now)
        self.glances = Glances(self.proxy)
        self._launcher = launcher
        self._watches: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Take up where the last platform on this state left off, and keep watch."""
        account_id = await self.store.run(self._prepare)
        await self._launcher.open(account_id, await self.store.run(_pod_folders))
        # first who is gone, then whose limit has passed: a dead pod is not billed to its limit
        await self.pulse.beat(misses=1)
        await self.limits.apply()
        await self.lifecycle.resume()
        self._watches = [
            asyncio.ensure_future(_keep_running(watch))
            for watch in (self.pulse.run, self.limits.run)
        ]

    async def close(self) -> None:
        """Leave; the sessions' pods run on."""
        self.changes.close()
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self.lifecycle.close()
        await self.pulse.note()
        await self.glances.close()
        await self.proxy.close()
        await self._launcher.close()
        self.store.close()

    async def is_needed(self) -> bool:
        """Return whether a session lives, or a ticket waits for one."""
        return await self.store.run(_is_needed)

    def _prepare(self, connection: Connection) -> str:
        now = self.clock.now()
        account_id = account.ensure(connection, self.settings.credit, now)
        keys.set_account_key(connection, account_id, self.settings.api_key, now)
        allocation.sync(connection, self.catalogue)
        return account_id


def _is_needed(connection: Connection) -> bool:
    return bool(_live(connection) or tickets.pending(connection))


def _pod_folders(connection: Connection) -> set[str]:
    records = [PodRecord.from_json(row.pod) for row in _live(connection) if row.pod]
    return {record.folder for record in records}


def _live(connection: Connection) -> list[Row[Any]]:
    return sessions.in_status(connection, "pending", "creating", "running", "stopping")


async def _keep_running(watch: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await watch()
        except Exception:
            logger.exception("a watch failed; it starts again")
        await asyncio.sleep(_RESTART_SECONDS)
