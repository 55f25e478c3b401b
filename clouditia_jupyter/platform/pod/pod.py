"""A pod: the process that is one session.

It starts blank, with a kernel that answers, and becomes a session when the platform assigns it one;
so a warm pod and a cold one differ only in when they were started. It owns the kernel, keeps every
output in the session's folder, and lives on when the platform, the notebook or the network are
gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
from collections import deque
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clouditia_jupyter.errors import (
    InvalidRequestError,
    JobNotFoundError,
    SessionLostError,
    SessionStateError,
)
from clouditia_jupyter.platform.pod.history import History
from clouditia_jupyter.platform.pod.jobs import Jobs
from clouditia_jupyter.platform.pod.kernel import Kernel
from clouditia_jupyter.platform.pod.limits import Limits
from clouditia_jupyter.platform.pod.namespaces import Namespaces
from clouditia_jupyter.platform.pod.outside import Outside
from clouditia_jupyter.platform.pod.parcels import PARCEL_ID, Parcels
from clouditia_jupyter.platform.pod.processes import memory_in_use
from clouditia_jupyter.platform.pod.run import Run
from clouditia_jupyter.platform.pod.sandbox import Sandbox
from clouditia_jupyter.platform.pod.use import Gauge

_log = logging.getLogger(__name__)
_RUN_ID = re.compile(r"[0-9A-Za-z_-]{8,80}")
_WATCH_SECONDS = 2.0
_VARIABLES = "clouditia_jupyter.platform.pod.variables"
#: What a run that reached its limit has to heed the interrupt before its kernel is killed.
_GRACE_SECONDS = 10.0
#: How much later than its session's limit a pod ends by itself: first it is the platform's turn.
_LATE_SECONDS = 3.0
#: How many runs a glance shows.
_RECENT_RUNS = 20


class Pod:
    """One session's kernel, runs, values, jobs and namespaces.

    Parameters
    ----------
    sandbox
        Where everything of the session runs.
    folder
        The pod's own folder, out of the session's sight: logs of runs and jobs.
    """

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.session_id: str | None = None
        self._limits: Limits | None = None
        self._ends_at: float | None = None
        self._runs: dict[str, Run] = {}
        self._runs_folder = folder / "runs"
        jobs = folder / "jobs"
        for path in (self._runs_folder, jobs):
            path.mkdir(parents=True, exist_ok=True)
        log = folder / "kernel.log"
        self.parcels = Parcels(sandbox.runtime)
        self._delivered: deque[str] = deque(maxlen=256)
        self._history = History(self._runs_folder)
        self.outside = Outside(self._runs_folder / "outside.ndjson")
        self.kernel = Kernel(sandbox, "main", log, self._kernel_died, self.outside)
        self.jobs = Jobs(sandbox, jobs)
        self.namespaces = Namespaces(sandbox, self._runs_folder, log)
        self._gauge = Gauge()
        self._restarting: asyncio.Task[None] | None = None
        self._replacing = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._attending: set[asyncio.Task[None]] = set()

    @property
    def limits(self) -> Limits:
        """The session's limits; a blank pod has none and runs nothing."""
        if self._limits is None:
            raise SessionStateError("This pod has no session yet.")
        return self._limits

    @property
    def _setup(self) -> str | None:
        return None if self._limits is None else self._limits.expression()

    async def assign(self, session_id: str, limits: Limits) -> None:
        """Become the session ``session_id``."""
        if self.session_id not in (None, session_id):
            raise SessionStateError("This pod has a session already.")
        self.session_id, self._limits = session_id, limits
        await self.kernel.evaluate(limits.expression())
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch_memory(limits.memory_bytes))

    @property
    def expired(self) -> bool:
        """Whether the session is past its limit, and no platform has ended it."""
        return self._ends_at is not None and time.time() > self._ends_at + _LATE_SECONDS

    async def tell(self, environment: Mapping[str, str], seconds_left: float | None) -> None:
        """Note what may have changed: the environment, and when the session's limit is reached."""
        limits = self.limits
        self._ends_at = None if seconds_left is None else time.time() + seconds_left
        if {**limits.extra, **environment} == limits.extra:
            return
        self._limits = replace(limits, extra={**limits.extra, **environment})
        kernels = (self.kernel, *self.namespaces.kernels)
        update = f"__import__('os').environ.update({dict(environment)!r})"
        # behind the cells that they execute now, which may take days
        for kernel in kernels:
            self._attend(_evaluate(kernel, update))

    def run(
        self,
        code: str,
        run_id: str = "",
        *,
        store_history: bool = True,
        allow_stdin: bool = False,
        limit: float | None = None,
        parcel: str = "",
    ) -> Run:
        """Return the run ``run_id``, begun now unless it exists already.

        Parameters
        ----------
        limit
            Seconds; it is interrupted when it has run so long.
        parcel
            Whose values are bound right before its code runs. Where they cannot be, it does not.
        """
        _ = self.limits
        run_id = run_id or uuid.uuid4().hex
        if run_id in self._runs:
            return self._runs[run_id]
        if not _RUN_ID.fullmatch(run_id):
            raise InvalidRequestError("A run_id is 8 to 80 letters, digits, - and _.")
        if parcel:
            self.parcels.find(parcel)
        run = Run(
            run_id,
            code,
            self._runs_folder,
            store_history=store_history,
            allow_stdin=allow_stdin,
            before=self._call("put", str(self.parcels.path), parcel) if parcel else None,
            note=self._history.note,
        )
        self._runs[run_id] = run
        if parcel:
            self.parcels.hold(parcel)
            self._attend(self._release(parcel, run))
        self.kernel.submit(run)
        if run.started is None:
            self._history.note(run)
        if limit is not None:
            self._keepers[run_id] = asyncio.create_task(self._keep(run, limit))
        self._revive()
        return run

    async def _keep(self, run: Run, limit: float) -> None:
        """Interrupt a run that goes past its limit; kill its kernel if it does not heed that."""
        try:
            await run.begun.wait()
            if await _ends(run, limit):
                return
            run.note(f"The run reached its limit of {limit:,.0f} s and is interrupted.")
            with contextlib.suppress(SessionLostError):  # it has just died by itself
                await self.kernel.interrupt(run)
            if not await _ends(run, _GRACE_SECONDS):
                await self.restart(
                    f"The run reached its limit of {limit:,.0f} s and did not heed the interrupt; "
                    "its kernel was killed, and its variables are gone."
                )
        finally:
            del self._keepers[run.run_id]

    def find_run(self, run_id: str) -> Run:
        """Return an earlier run."""
        try:
            return self._runs[run_id]
        except KeyError:
            raise JobNotFoundError(
                f"No run has the id {run_id!r}. List them: GET /api/runs/."
            ) from None

    def summaries(self) -> list[dict[str, Any]]:
        """Return what is known of each run, the newest first."""
        return [run.summary() for run in reversed(self._runs.values())]

    async def glance(self) -> dict[str, Any]:
        """Return what a panel shows of the session: its latest runs, and what it uses.

        Nothing in it moves while nothing happens, so that two of them can be compared.
        """
        latest = list(self._runs.values())[: -_RECENT_RUNS - 1 : -1]
        use = await asyncio.to_thread(self._gauge.read, self.limits.cuda_devices)
        return {"runs": [run.headline() for run in latest], "use": use}

    async def restart(self, reason: str) -> None:
        """Replace the kernel with a fresh one; runs that had not finished are lost."""
        async with self._replacing:
            await self.kernel.kill(reason)
            await self.kernel.start(self._setup)

    async def put_values(self, parcel: str) -> dict[str, str]:
        """Bind a parcel's values in the kernel; see :func:`.variables.put` for the answer."""
        if parcel in self._delivered:  # the answer was lost, and the question comes again
            return {}
        self.parcels.find(parcel)
        with self.parcels.held(parcel):
            answer = await self._ask_kernel("put", str(self.parcels.path), parcel)
        if not answer:
            self._delivered.append(parcel)
        return answer

    async def get_values(
        self, names: list[str], parcel: str, *, allow_pickle: bool
    ) -> dict[str, str]:
        """Have the kernel make a parcel of its variables; see :func:`.variables.get`."""
        for name in names:
            _identifier(name)
        if not PARCEL_ID.fullmatch(parcel):
            raise InvalidRequestError("A parcel's id is 32 hexadecimal digits.")
        return await self._ask_kernel("get", str(self.parcels.path), parcel, names, allow_pickle)

    async def look_up(self, names: list[str], modules: dict[str, str]) -> dict[str, Any]:
        """Say which names the kernel has, and import modules that it lacks."""
        for name in (*names, *modules):
            _identifier(name)
        return await self._ask_kernel("look_up", names, modules)

    async def _ask_kernel(self, function: str, *arguments: Any) -> dict[str, Any]:
        """Call a function of :mod:`.variables` in the kernel, between two cells."""
        await self.kernel.stays()
        self._revive()
        if self.kernel.gone and self._restarting is not None:
            await asyncio.shield(self._restarting)
        return dict(await self.kernel.evaluate(self._call(function, *arguments)))

    @staticmethod
    def _call(function: str, *arguments: Any) -> str:
        module = f"__import__({_VARIABLES!r}, fromlist=[{function!r}])"
        return f"{module}.{function}{arguments!r}"

    async def _release(self, parcel: str, run: Run) -> None:
        await run.ended.wait()
        self.parcels.release(parcel)

    def _attend(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._attending.add(task)
        task.add_done_callback(self._attending.discard)

    async def close(self) -> None:
        """End everything that the session started."""
        for task in (self._watcher, self._restarting, *self._keepers.values(), *self._attending):
            if task is not None:
                task.cancel()
        for job in self.jobs.list(None, 1 << 30):
            job.cancel()
        await self.namespaces.close()
        await self.kernel.kill("The session was stopped.")
        self.parcels.close()
        self._history.close()

    def _kernel_died(self, reason: str) -> None:
        # as a local notebook's server does: the next cell finds a fresh kernel
        _log.warning("%s", reason)
        self._revive()

    def _revive(self) -> None:
        """Start a kernel where there is none; runs that wait for it are taken up or lost."""
        idle = self._restarting is None or self._restarting.done()
        if self.kernel.gone and idle:
            self._restarting = asyncio.create_task(self._start_again())

    async def _start_again(self) -> None:
        async with self._replacing:
            if not self.kernel.gone:  # somebody else has replaced it meanwhile
                return
            try:
                await self.kernel.start(self._setup)
            except SessionLostError as error:
                _log.exception("no kernel")
                self.kernel.lose_queue(str(error))

    async def _watch_memory(self, limit: int) -> None:
        """End a kernel whose processes together use more than the session has.

        The kernel's own limit gives a clean MemoryError, but holds for one process at a time.
        """
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            pid = self.kernel.pid
            if pid is not None and self.kernel.busy:
                used = await asyncio.to_thread(memory_in_use, pid)
                if used > limit * 1.1 and pid == self.kernel.pid:
                    await self.restart(
                        f"The session used {used / 2**30:.1f} GB of its {limit / 2**30:.0f} GB of "
                        "RAM; its kernel was restarted and its variables are gone. Create a "
                        "session with more --ram."
                    )


async def _ends(run: Run, seconds: float) -> bool:
    """Return whether the run ends within so many seconds."""
    with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
        await asyncio.wait_for(run.ended.wait(), seconds)
    return run.over


async def _evaluate(kernel: Kernel, expression: str) -> None:
    with contextlib.suppress(SessionLostError):  # the next kernel is set up anew
        await kernel.evaluate(expression)


def _identifier(name: str) -> None:
    if not name.isidentifier():
        raise InvalidRequestError(f"{name!r} is no variable name.")
