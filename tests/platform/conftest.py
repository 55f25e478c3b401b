"""The platform's parts in this process: a clock turned by hand, pods that only seem."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from clouditia_jupyter.errors import SessionLostError
from clouditia_jupyter.platform import account, sessions
from clouditia_jupyter.platform.admission import Application, Outcome
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.launcher import PodRecord, PodSpec
from clouditia_jupyter.platform.money import to_micro
from clouditia_jupyter.platform.requests import SessionRequest
from clouditia_jupyter.platform.service import Service, Settings
from clouditia_jupyter.platform.store import Store

START = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
A, B = "nvidia-rtx-3090", "nvidia-rtx-4090"


class TurnedClock:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self._now = START
        self._sleepers: list[tuple[datetime, asyncio.Event]] = []

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, when: datetime) -> None:
        if when > self._now:
            bell = asyncio.Event()
            self._sleepers.append((when, bell))
            await bell.wait()

    def seconds_until(self, when: datetime) -> float:
        return max(0.0, (when - self._now).total_seconds())

    def turn(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        for when, bell in self._sleepers:
            if when <= self._now:
                bell.set()


class SeemingLauncher:
    """Pods that start when they may, and die when they are told."""

    def __init__(self) -> None:
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.may_assign = asyncio.Event()
        self.may_assign.set()
        self.may_stop = asyncio.Event()
        self.may_stop.set()
        self.fault: Exception | None = None
        self.specs: list[PodSpec] = []
        self.told: list[tuple[int, float | None]] = []
        self.cleared: dict[int, bool] = {}
        self.ended_at_limit: set[int] = set()
        self.running: set[int] = set()
        self._pid = 0

    async def open(self, owner: str, live: Collection[str]) -> None:
        pass

    async def take(self) -> PodRecord:
        await self.may_start.wait()
        if self.fault is not None:
            raise self.fault
        self._pid += 1
        self.running.add(self._pid)
        return PodRecord("http://127.0.0.1:9", "token", self._pid, 0.0, "/nowhere")

    async def assign(self, record: PodRecord, spec: PodSpec) -> None:
        self.specs.append(spec)
        await self.may_assign.wait()

    async def tell(
        self, record: PodRecord, env: Mapping[str, str], seconds_left: float | None
    ) -> None:
        self.told.append((record.pid, seconds_left))

    async def expired(self, record: PodRecord) -> bool:
        return record.pid in self.ended_at_limit

    async def alive(self, record: PodRecord) -> bool:
        return record.pid in self.running

    async def stop(self, record: PodRecord, *, keep_files: bool) -> None:
        await self.may_stop.wait()
        self.running.discard(record.pid)
        self.cleared[record.pid] = keep_files

    async def close(self, *, stop_spares: bool = True) -> None:
        pass


class Bench:
    """A service on seeming pods, and what the tests do with it."""

    def __init__(self, database: str, credit: float, gpus: dict[str, int]) -> None:
        self.clock = TurnedClock()
        self.launcher = SeemingLauncher()
        self._database, self._credit, self._gpus = database, credit, gpus
        self.service = self._make()

    def _make(self) -> Service:
        return Service(
            Settings(url="http://test", api_key="sk_compute_test", credit=to_micro(self._credit)),
            Store(self._database),
            self.clock,
            Catalogue({}, self._gpus),
            self.launcher,  # type: ignore[arg-type]
        )

    async def open(self) -> None:
        await self.service.open()
        self.account = await self.service.store.run(account.only)

    async def crash(self) -> None:
        """End everything as it stands, and start again on the same database."""
        left = [*self.service._watches, *self.service.lifecycle._tasks]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self.service.store.close()
        self.service = self._make()
        await self.open()

    async def apply(self, gpus: dict[str, int], **options: Any) -> Outcome:
        request = SessionRequest(
            gpus=gpus,
            vcpu=1,
            ram=1,
            storage=1,
            allow_partial=options.pop("allow_partial", False),
            cost_limit=options.pop("cost_limit", None),
            duration_limit=options.pop("duration_limit", None),
        )
        application = Application(account_id=self.account, request=request, **options)
        return await self.service.lifecycle.admit(application)

    async def run(self, gpus: dict[str, int] | None = None, **options: Any) -> str:
        """Create a session, wait until it runs, and return its id."""
        outcome = await self.apply(gpus or {A: 1}, **options)
        assert outcome.session_id is not None
        await self.service.lifecycle.settle()
        assert (await self.show(outcome.session_id)).status == "running"
        return outcome.session_id

    async def stop(self, session_id: str, reason: str = "user") -> sessions.Session:
        await self.service.lifecycle.stop(session_id, reason)
        await self.service.lifecycle.settle()
        return await self.show(session_id)

    async def show(self, session_id: str) -> sessions.Session:
        return await self.service.store.run(sessions.load, session_id)

    async def ask(self, fn: Callable[..., Any], *args: Any) -> Any:
        return await self.service.store.run(fn, *args)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'platform.db'}"


@pytest.fixture
async def bench(database: str) -> AsyncIterator[Bench]:
    """Return a platform with 100 EUR and two GPUs of each of two types."""
    made = Bench(database, 100, {A: 2, B: 2})
    await made.open()
    yield made
    await made.service.close()


@pytest.fixture
def store(database: str) -> Iterator[Store]:
    made = Store(database)
    yield made
    made.close()


def lost(reason: str = "no room") -> SessionLostError:
    return SessionLostError(reason)
