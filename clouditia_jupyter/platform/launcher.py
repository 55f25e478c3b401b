"""Starts and ends pods on this machine, and keeps a spare one warm.

A pod is started blank and then assigned its session, so a spare one only saves the wait. Pods are
not children to be minded: each is known by a record that the store keeps, and whichever platform
process holds the record can talk to it.
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
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import psutil

from clouditia_jupyter.errors import ConfigurationError, SessionLostError
from clouditia_jupyter.platform.pod.processes import kill_tree

_log = logging.getLogger(__name__)
_START_TIMEOUT = 90.0
_STOP_TIMEOUT = 5.0


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
    folder
        Where each pod gets a folder of its own: its workspace, and the logs of its runs.
    hidden
        Folders that no session may see; the state folder, normally.
    spares
        How many blank pods to keep warm.
    """

    def __init__(self, folder: Path, *, spares: int = 1, hidden: tuple[Path, ...] = ()) -> None:
        self._folder = folder
        self._hidden = hidden
        self._spares_wanted = spares
        self._spares: asyncio.Queue[PodRecord] = asyncio.Queue()
        self._filling: asyncio.Task[None] | None = None
        self._children: dict[int, asyncio.subprocess.Process] = {}
        self._load: Counter[int] = Counter(dict.fromkeys(os.sched_getaffinity(0), 0))
        self._cpus: dict[int, list[int]] = {}
        self._client = httpx.AsyncClient(timeout=_START_TIMEOUT, trust_env=False, verify=False)

    async def open(self) -> None:
        """Begin to fill the warm pool."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._refill()

    async def launch(self, spec: PodSpec) -> PodRecord:
        """Return a pod that has become the session and answers.

        Raises
        ------
        SessionLostError
            If no pod comes up; with the reason.
        """
        record = await self._take_spare() or await self._start()
        self._refill()
        cpus = self._reserve(record.pid, spec.vcpu)
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
            await self.stop(record)
            raise SessionLostError(f"The session's pod did not take it: {error}") from error
        return record

    async def alive(self, record: PodRecord) -> bool:
        """Say whether the pod's process still runs, whoever started it."""
        try:
            process = psutil.Process(record.pid)
            # psutil's clock may differ by a tick between two boots of the reader
            same = abs(process.create_time() - record.created) < 1.0
            return bool(same and process.status() != psutil.STATUS_ZOMBIE)
        except psutil.NoSuchProcess:
            return False

    async def stop(self, record: PodRecord) -> None:
        """End a pod and everything in it; nothing happens if it is gone already."""
        if await self.alive(record):
            with contextlib.suppress(httpx.HTTPError, SessionLostError):
                await self._call(record, "POST", "/pod/stop/", {}, timeout=_STOP_TIMEOUT)
            await self._wait_gone(record)
        self._release(record.pid)

    async def close(self, *, stop_spares: bool = True) -> None:
        """Let go of all pods; those with a session run on."""
        if self._filling is not None:
            self._filling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._filling
        while stop_spares and not self._spares.empty():
            await self.stop(self._spares.get_nowait())
        await self._client.aclose()

    def _refill(self) -> None:
        if self._filling is None or self._filling.done():
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
        folder = self._folder / uuid.uuid4().hex
        folder.mkdir(mode=0o700)
        runtime = Path(tempfile.mkdtemp(prefix="pod-", dir=runtime_root()))
        argv = [sys.executable, "-m", "clouditia_jupyter.platform.pod"]
        argv += ["--folder", str(folder), "--runtime", str(runtime)]
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
    ) -> None:
        answer = await self._client.request(
            method,
            record.url + path,
            json=body,
            headers={"Authorization": f"Bearer {record.token}"},
            timeout=timeout,
        )
        if answer.is_error:
            raise SessionLostError(answer.json().get("error", answer.text))

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

    def _reserve(self, pid: int, vcpu: int) -> list[int]:
        """Return the cores that have the fewest sessions; all of them where that is not enough."""
        chosen = [cpu for cpu, _ in sorted(self._load.items(), key=lambda item: item[::-1])][:vcpu]
        self._load.update(chosen)
        self._cpus[pid] = chosen
        return chosen

    def _release(self, pid: int) -> None:
        self._load.subtract(self._cpus.pop(pid, []))


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
