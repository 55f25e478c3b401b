"""Starts and ends pods on this machine, and keeps a spare one warm.

A pod is started blank and then assigned its session, so a spare one only saves the wait. A blank
pod ends with its platform; one with a session does not, so the store has to know it before. Pods
are not children to be minded: whichever platform process holds the record can talk to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import stat
import sys
import tempfile
import uuid
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from clouditia_jupyter.errors import ConfigurationError, SessionLostError
from clouditia_jupyter.platform.archive import Archive
from clouditia_jupyter.platform.cores import Cores
from clouditia_jupyter.platform.pod.identity import Identity
from clouditia_jupyter.platform.pod.processes import kill_tree, runs

_log = logging.getLogger(__name__)
_START_TIMEOUT = 90.0
_STOP_TIMEOUT = 5.0
_BREATH_SECONDS = 1.0
_TRIM_SECONDS = 3600.0


@dataclass(frozen=True)
class PodSpec:
    """What a session asks of its pod; sizes in GB.

    ``cuda_devices`` are ids of real GPUs, none for simulated ones; ``env`` is added to the
    session's environment.
    """

    session_id: str
    name: str
    vcpu: int
    ram_gb: int
    storage_gb: int
    cuda_devices: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class PodRecord:
    """How to reach a pod; enough for a later platform process to adopt it.

    ``created`` is the process's start time: with it, a reused ``pid`` is not mistaken for the pod.
    """

    url: str
    token: str = field(repr=False)
    pid: int
    created: float
    folder: str

    def to_json(self) -> str:
        """Return the record as the store keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> PodRecord:
        """Return the record that :meth:`to_json` wrote."""
        return cls(**json.loads(text))


class Launcher:
    """All pods of one platform.

    Parameters
    ----------
    archive
        Where each pod gets a folder of its own: its workspace, and the logs of its runs.
    hidden
        Folders that no session may see; the state folder, normally.
    spares
        How many blank pods to keep warm.
    """

    def __init__(self, archive: Archive, *, spares: int = 1, hidden: tuple[Path, ...] = ()) -> None:
        self._archive = archive
        self._owner = ""
        self._live: set[str] = set()
        self._trimming: asyncio.Task[None] | None = None
        self._closed = False
        self._hidden = hidden
        self._spares_wanted = spares
        self._spares: asyncio.Queue[PodRecord] = asyncio.Queue()
        self._filling: asyncio.Task[None] | None = None
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._cores = Cores()
        self._client = httpx.AsyncClient(timeout=_START_TIMEOUT, trust_env=False, verify=False)

    async def open(self, owner: str, live: Collection[str]) -> None:
        """End what an earlier platform left, and begin to fill the warm pool.

        Parameters
        ----------
        owner
            The account whose pods they are.
        live
            Folders of the pods that sessions have.
        """
        self._owner = owner
        self._live |= set(live)
        self._archive.folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(self._archive.end_strays, owner, frozenset(self._live))
        self._refill()
        self._trimming = asyncio.create_task(self._trim())

    async def take(self) -> PodRecord:
        """Return a blank pod.

        Raises
        ------
        SessionLostError
            If no pod comes up; with the reason.
        """
        record = await self._take_spare() or await self._start()
        # not at once: the new session's first cells have the machine to themselves
        asyncio.get_running_loop().call_later(_BREATH_SECONDS, self._refill)
        return record

    async def assign(self, record: PodRecord, spec: PodSpec) -> None:
        """Make the pod the session; from here on it does not end with this platform.

        Raises
        ------
        SessionLostError
            If it does not take it.
        """
        cpus = self._cores.reserve(record.pid, spec.vcpu)
        body = {
            "session_id": spec.session_id,
            "cpus": cpus,
            "ram_gb": spec.ram_gb,
            "storage_gb": spec.storage_gb,
            "cuda_devices": list(spec.cuda_devices),
            "env": dict(spec.env),
        }
        try:
            await self._call(record, "POST", "/pod/assign/", body)
        except (httpx.HTTPError, SessionLostError) as error:
            raise SessionLostError(f"The session's pod did not take it: {error}") from error

    async def tell(
        self, record: PodRecord, env: Mapping[str, str], seconds_left: float | None
    ) -> None:
        """Tell a session's pod what may have changed since it was assigned.

        Parameters
        ----------
        env
            Goes into the session's environment.
        seconds_left
            Real seconds to the session's own limit, at which the pod ends by itself if there is no
            platform to end it; None for no limit.
        """
        body: dict[str, object] = {"env": dict(env), "seconds_left": seconds_left}
        with contextlib.suppress(httpx.HTTPError, SessionLostError):
            answer = await self._call(record, "POST", "/pod/tell/", body, timeout=_STOP_TIMEOUT)
            if record.folder in self._live:  # and has not been stopped meanwhile
                self._cores.note(record.pid, answer["cpus"])

    async def expired(self, record: PodRecord) -> bool:
        """Say whether a pod that is gone ended by itself, at its session's limit."""
        found = await asyncio.to_thread(Identity.read, Path(record.folder))
        return found is not None and found.expired

    async def alive(self, record: PodRecord) -> bool:
        """Say whether the pod's process still runs, whoever started it."""
        return runs(record.pid, record.created)

    async def stop(self, record: PodRecord, *, keep_files: bool) -> None:
        """End a pod and everything in it, which is no error if it is gone already.

        Parameters
        ----------
        keep_files
            Whether the session's own files stay.
        """
        if await self.alive(record):
            with contextlib.suppress(httpx.HTTPError, SessionLostError):
                await self._call(record, "POST", "/pod/stop/", {}, timeout=_STOP_TIMEOUT)
            await self._wait_gone(record)
        self._cores.release(record.pid)
        await asyncio.to_thread(self._archive.clear, Path(record.folder), keep_files=keep_files)
        self._live.discard(record.folder)

    async def close(self, *, stop_spares: bool = True) -> None:
        """Let go of all pods; those with a session run on."""
        self._closed = True
        for task in (self._filling, self._trimming):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        while stop_spares and not self._spares.empty():
            await self.stop(self._spares.get_nowait(), keep_files=False)
        await self._client.aclose()

    async def _trim(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._archive.trim, frozenset(self._live))
            except OSError:
                _log.exception("what ended sessions have left cannot be trimmed")
            await asyncio.sleep(_TRIM_SECONDS)

    def _refill(self) -> None:
        if not self._closed and (self._filling is None or self._filling.done()):
            self._filling = asyncio.create_task(self._fill())

    async def _fill(self) -> None:
        while self._spares.qsize() < self._spares_wanted:
            try:
                self._spares.put_nowait(await self._start())
            except SessionLostError:
                _log.exception("no spare pod")
                return

    async def _take_spare(self) -> PodRecord | None:
        while self._spares_wanted:
            if self._spares.empty() and (self._filling is None or self._filling.done()):
                return None
            if self._spares.empty():
                # one is on its way: sooner here than a new one would be
                assert self._filling is not None
                await asyncio.shield(self._filling)
                continue
            record = self._spares.get_nowait()
            if await self.alive(record):
                return record
        return None

    async def _start(self) -> PodRecord:
        folder = self._archive.folder / uuid.uuid4().hex
        self._live.add(str(folder))
        try:
            return await self._start_in(folder)
        except OSError as error:
            self._live.discard(str(folder))
            raise SessionLostError(
                f"No pod can be started in {folder.parent}: {error.strerror or error}."
            ) from error
        except SessionLostError:
            self._live.discard(str(folder))
            raise

    async def _start_in(self, folder: Path) -> PodRecord:
        folder.mkdir(mode=0o700)
        runtime = Path(tempfile.mkdtemp(prefix="pod-", dir=runtime_root()))
        argv = [sys.executable, "-m", "clouditia_jupyter.platform.pod"]
        argv += ["--folder", str(folder), "--runtime", str(runtime)]
        argv += ["--parent", str(os.getpid()), "--owner", self._owner]
        for path in (*self._hidden, runtime_root()):
            argv += ["--hide", str(path)]
        with (folder / "pod.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert process.stdout is not None
        try:
            line = await asyncio.wait_for(process.stdout.readline(), _START_TIMEOUT)
            told = json.loads(line)
        except BaseException as error:
            kill_tree(process.pid)
            shutil.rmtree(runtime, ignore_errors=True)
            if isinstance(error, (ValueError, TimeoutError, asyncio.TimeoutError)):
                raise SessionLostError(_last_words(folder / "pod.log")) from error
            raise
        if "error" in told:
            raise SessionLostError(told["error"])
        self._children[process.pid] = process
        return PodRecord(folder=str(folder), **told)

    async def _call(
        self,
        record: PodRecord,
        method: str,
        path: str,
        body: dict[str, object],
        *,
        timeout: float = _START_TIMEOUT,
    ) -> dict[str, Any]:
        answer = await self._client.request(
            method,
            record.url + path,
            json=body,
            headers={"Authorization": f"Bearer {record.token}"},
            timeout=timeout,
        )
        if answer.is_error:
            raise SessionLostError(answer.json().get("error", answer.text))
        said: dict[str, Any] = answer.json()
        return said

    async def _wait_gone(self, record: PodRecord) -> None:
        child = self._children.pop(record.pid, None)
        if child is not None:
            try:
                await asyncio.wait_for(child.wait(), _STOP_TIMEOUT)
            except (TimeoutError, asyncio.TimeoutError):
                kill_tree(record.pid)
                await child.wait()
            return
        try:
            process = psutil.Process(record.pid)
            await asyncio.to_thread(process.wait, _STOP_TIMEOUT)
        except psutil.TimeoutExpired:
            kill_tree(record.pid)
        except psutil.NoSuchProcess:
            pass


def runtime_root() -> Path:
    """Return this user's folder for sockets and values in passing: memory where there is any.

    Raises
    ------
    ConfigurationError
        If somebody else made it.
    """
    memory = Path("/dev/shm")
    base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    root = base / f"clouditia-{os.getuid()}"
    root.mkdir(mode=0o700, exist_ok=True)
    info = root.lstat()
    if info.st_uid != os.getuid() or not stat.S_ISDIR(info.st_mode) or info.st_mode & 0o077:
        raise ConfigurationError(
            f"{root} must be a folder that only you can enter. Remove it and start again."
        )
    return root


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    said = f": {lines[-1][:300]}" if lines else ""
    return f"The session's pod did not start{said}. Its log is {log}."
