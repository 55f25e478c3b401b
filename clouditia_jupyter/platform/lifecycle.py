"""Carries sessions through their life: creates pods, stops them, serves the queue.

What a session *is* stands in the store and changes there only (``transitions``); here are the
tasks that do the work between two statuses. Each of them can be cut off at any point and taken
up again from what the store says, which is what happens after the platform was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from clouditia_jupyter.errors import SessionLostError
from clouditia_jupyter.platform import admission, allocation, sessions, transitions
from clouditia_jupyter.platform.admission import Application, Outcome
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.changes import Changes
from clouditia_jupyter.platform.clock import Clock
from clouditia_jupyter.platform.launcher import Launcher, PodRecord, PodSpec
from clouditia_jupyter.platform.store import Store

logger = logging.getLogger(__name__)

#: This machine is on and needs no cluster brought up, so these are passed as they come.
_STEPS_BEFORE_LAUNCH = (
    "validating",
    "powering_on",
    "waiting_power",
    "waiting_nodes",
    "waiting_k8s",
)
_RETRY_SECONDS = 5.0
#: Ends after which nobody looks for the session's files: their user said so, or there are none.
_FILES_GO = ("user", "creation_failed")
#: How long a leaving platform lets pods under construction come up.
_PATIENCE_SECONDS = 5.0


class Lifecycle:
    """The tasks that create and stop sessions.

    Parameters
    ----------
    pod_env
        Environment variables for every session.

    Attributes
    ----------
    meters_changed
        Set whenever a session begins, ends or changes what it costs.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        catalogue: Catalogue,
        launcher: Launcher,
        changes: Changes,
        pod_env: Mapping[str, str],
    ) -> None:
        self.meters_changed = asyncio.Event()
        self._store = store
        self._clock = clock
        self._catalogue = catalogue
        self._launcher = launcher
        self._changes = changes
        self._pod_env = pod_env
        self._creating: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def admit(self, application: Application) -> Outcome:
        """Grant an application, or queue it; a new session is created in the background."""
        outcome = await self._store.run(
            admission.admit, application, self._catalogue, self._clock.now()
        )
        if outcome.is_new and outcome.session_id is not None:
            self._create(outcome.session_id)
        return outcome

    async def serve_queue(self, touched: frozenset[str] | None = None) -> None:
        """Create sessions for the waiting tickets that can be served now."""
        created = await self._store.run(
            admission.serve_tickets, self._catalogue, self._clock.now(), touched
        )
        for session_id in created:
            self._create(session_id)

    async def add_gpus(self, session: sessions.Session, gpus: dict[str, int]) -> None:
        """Give a running session more GPUs."""
        now = self._clock.now()
        await self._store.run(admission.add_gpus, session, gpus, self._catalogue, now)
        self._changed(session.id)
        await self._tell(session.id)

    async def stop(self, session_id: str, reason: str, at: datetime | None = None) -> None:
        """End the session; returns when it is ``stopping``, the pod is ended in the background.

        Parameters
        ----------
        at
            The moment at which billing ends; now by default.
        """
        began = await self._store.run(
            transitions.begin_stop, session_id, reason, at or self._clock.now()
        )
        if began:
            logger.info("session %s stops: %s", session_id[:8], reason)
            self._changed(session_id)
            if session_id not in self._creating:  # else its creation finds out, and ends it
                self._spawn(self._finish_stop(session_id))

    async def lose(self, session_id: str) -> None:
        """Give up a running session whose pod is gone."""
        session = await self._store.run(sessions.load, session_id)
        if await self._launcher.expired(PodRecord.from_json(session.row.pod)):
            await self.stop(session_id, "limit")  # at the moment, and for the reason, of the limit
            return
        if await self._store.run(transitions.lose, session_id, self._clock.now()):
            logger.warning("session %s is lost: its pod is gone", session_id[:8])
            await self._stop_pod(session_id)
            await self._released(session_id)

    async def resume(self) -> None:
        """Take up what an earlier platform process left unfinished."""
        for row in await self._store.run(sessions.in_status, "pending", "creating"):
            self._create(row.id)
        for row in await self._store.run(sessions.in_status, "stopping"):
            self._spawn(self._finish_stop(row.id))
        for row in await self._store.run(sessions.in_status, "running"):
            self._spawn(self._tell(row.id))
        await self.serve_queue()

    async def settle(self) -> None:
        """Return once nothing is being created or stopped."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Let what is being created come up, for a moment; whatever is left is resumed later."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.settle(), _PATIENCE_SECONDS)
        late = [*self._tasks]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _create(self, session_id: str) -> None:
        self._creating[session_id] = self._spawn(self._run_creation(session_id))

    async def _run_creation(self, session_id: str) -> None:
        try:
            await self._try_creation(session_id)
        except SessionLostError as error:
            await self._fail_creation(session_id, str(error))
        except Exception:
            logger.exception("session %s cannot be created", session_id[:8])
            await self._fail_creation(
                session_id, "The platform failed to start the session; its log says why."
            )
        finally:
            del self._creating[session_id]
        # a stop that came while it was being created was left to this task
        if (await self._store.run(sessions.load, session_id)).status == "stopping":
            await self._finish_stop(session_id)

    async def _try_creation(self, session_id: str) -> None:
        # one that an earlier platform process had chosen may have begun to be the session
        await self._stop_pod(session_id)
        for step in _STEPS_BEFORE_LAUNCH:
            await self._advance(session_id, step)
        await self._advance(session_id, "deploying")
        record = await self._launcher.take()
        started = False
        try:
            started = await self._become(session_id, record)
        finally:
            if not started:  # it failed, or the session was stopped meanwhile
                await self._launcher.stop(record, keep_files=False)

    async def _become(self, session_id: str, record: PodRecord) -> bool:
        """Make the pod the session; False if that is no longer wanted."""
        if not await self._store.run(transitions.place, session_id, record.to_json()):
            return False
        self._changes.notify(session_id)
        spec = await self._store.run(_spec, session_id, self._pod_env)
        await self._launcher.assign(record, spec)
        if not await self._store.run(transitions.start, session_id, self._clock.now()):
            return False
        logger.info("session %s runs", session_id[:8])
        self._changed(session_id)
        self._spawn(self._tell(session_id))
        return True

    async def _tell(self, session_id: str) -> None:
        """Tell a session's pod where the platform is, and how long its limits let it run."""
        session = await self._store.run(sessions.load, session_id)
        due = session.meter.due()
        left = None if due is None else self._clock.seconds_until(due.at)
        await self._launcher.tell(PodRecord.from_json(session.row.pod), self._pod_env, left)

    async def _advance(self, session_id: str, step: str) -> None:
        if await self._store.run(transitions.advance, session_id, step):
            self._changes.notify(session_id)

    async def _fail_creation(self, session_id: str, error: str) -> None:
        if await self._persist(transitions.fail_creation, session_id, error, self._clock.now()):
            logger.warning("session %s failed: %s", session_id[:8], error)
            await self._released(session_id)

    async def _finish_stop(self, session_id: str) -> None:
        await self._stop_pod(session_id)
        if await self._persist(transitions.finish_stop, session_id, self._clock.now()):
            await self._released(session_id)

    async def _persist(self, change: Callable[..., bool], *args: Any) -> bool:
        """Make a change that nobody can be told has failed, as soon as the database takes it."""
        while True:
            try:
                return await self._store.run(change, *args)
            except SQLAlchemyError:
                logger.exception("the database does not take a change; it is tried again")
                await asyncio.sleep(_RETRY_SECONDS)

    async def _stop_pod(self, session_id: str) -> None:
        session = await self._store.run(sessions.load, session_id)
        if session.row.pod is None:
            return
        record = PodRecord.from_json(session.row.pod)
        keep_files = session.row.stop_reason not in _FILES_GO
        while True:
            try:
                await self._launcher.stop(record, keep_files=keep_files)
            except Exception:
                logger.exception("the pod of session %s does not stop", session_id[:8])
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                return

    async def _released(self, session_id: str) -> None:
        self._changed(session_id)
        session = await self._store.run(sessions.load, session_id)
        await self.serve_queue(frozenset(session.gpus))

    def _changed(self, session_id: str) -> None:
        self.meters_changed.set()
        self._changes.notify(session_id)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _spec(connection: Connection, session_id: str, env: Mapping[str, str]) -> PodSpec:
    row = sessions.load(connection, session_id).row
    return PodSpec(
        session_id=row.id,
        name=row.name,
        vcpu=row.vcpu,
        ram_gb=row.ram_gb,
        storage_gb=row.storage_gb,
        cuda_devices=allocation.devices(connection, session_id),
        env=env,
    )
