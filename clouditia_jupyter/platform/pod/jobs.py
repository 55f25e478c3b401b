"""Jobs: code or a command in a process of its own, which nobody needs to wait for.

The protocol's isolated runs (``execute``, ``stream``, ``shell``) are jobs too, that somebody waits
for.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from clouditia_jupyter.errors import InvalidRequestError, JobNotFoundError
from clouditia_jupyter.platform.pod.limits import Limits
from clouditia_jupyter.platform.pod.processes import kill_tree
from clouditia_jupyter.platform.pod.sandbox import Sandbox

_SCRIPT = "clouditia_jupyter.platform.pod.script"
_CHUNK = 1 << 16


class Job:
    """One process and what it wrote.

    Attributes
    ----------
    status
        ``pending``, ``running``, then ``completed``, ``failed`` or ``cancelled``.
    """

    def __init__(self, kind: str, code: str, name: str, folder: Path, runtime: Path) -> None:
        self.job_id = str(uuid.uuid4())
        self.kind, self.code, self.name = kind, code, name
        self.status = "pending"
        self.started = time.time()
        self.finished: float | None = None
        self.exit_code: int | None = None
        self.timed_out = False
        self._files = {which: folder / f"{self.job_id}.{which}" for which in ("out", "err", "log")}
        self._code_file = runtime / f"{self.job_id}.py"
        self._result_file = runtime / f"{self.job_id}.result"
        self._process: asyncio.subprocess.Process | None = None
        self._lines: asyncio.Queue[tuple[str, str] | None] | None = None
        self._over = asyncio.Event()

    async def run(self, sandbox: Sandbox, limits: Limits, timeout: float | None) -> None:
        """Run the process to its end, or to the timeout."""
        environment = {**sandbox.environment(os.environ), **limits.environment()}
        process = await asyncio.create_subprocess_exec(
            *sandbox.command(self._argv()),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=sandbox.folder,
            env=environment,
            start_new_session=True,
            preexec_fn=limits.apply,
        )
        self._process = process
        if self.status == "cancelled":
            kill_tree(process.pid)
        else:
            self.status = "running"
        assert process.stdout is not None and process.stderr is not None
        pumps = asyncio.gather(self._pump(process.stdout, "out"), self._pump(process.stderr, "err"))
        try:
            await asyncio.wait_for(asyncio.shield(pumps), timeout)
        except (TimeoutError, asyncio.TimeoutError):
            self.timed_out = True
            kill_tree(process.pid)
            await pumps
        self.exit_code = await process.wait()
        if self.status != "cancelled":
            self.status = "completed" if self.exit_code == 0 else "failed"
        self.finished = time.time()
        self._code_file.unlink(missing_ok=True)
        if self._lines is not None:
            self._lines.put_nowait(None)
        self._over.set()

    def _argv(self) -> list[str]:
        if self.kind == "shell":
            # bash where there is one: another sh's echo rewrites backslashes in what clients send
            return [shutil.which("bash") or "/bin/sh", "-c", self.code]
        self._code_file.write_text(self.code)
        return [sys.executable, "-u", "-m", _SCRIPT, str(self._code_file), str(self._result_file)]

    async def _pump(self, pipe: asyncio.StreamReader, which: str) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        rest = ""
        with self._files[which].open("ab") as own, self._files["log"].open("ab") as log:
            while chunk := await pipe.read(_CHUNK):
                for file in (own, log):
                    file.write(chunk)
                    file.flush()
                *lines, rest = (rest + decoder.decode(chunk)).split("\n")
                self._tell(which, lines)
            if rest:
                self._tell(which, [rest])

    def _tell(self, which: str, lines: list[str]) -> None:
        if self._lines is not None:
            for line in lines:
                self._lines.put_nowait((f"std{which}", line))

    async def lines(self) -> AsyncIterator[tuple[str, str]]:
        """Yield ``(stream, line)`` as the process writes them; call before :meth:`run` begins."""
        self._lines = asyncio.Queue()
        while (line := await self._lines.get()) is not None:
            yield line

    async def wait(self) -> None:
        """Wait until the process has ended."""
        await self._over.wait()

    def cancel(self) -> None:
        """End the process; nothing happens when it has ended."""
        if self.finished is None:
            self.status = "cancelled"
            if self._process is not None:
                kill_tree(self._process.pid)

    def text(self, which: str) -> str:
        """Return what it wrote so far: to ``out``, ``err``, or both in order (``log``)."""
        with contextlib.suppress(FileNotFoundError):
            return self._files[which].read_text(errors="replace")
        return ""

    def outcome(self) -> dict[str, Any]:
        """Return the protocol's answer for an isolated run."""
        error = self.text("err")
        if self.timed_out:
            error += "The run was ended at its timeout. Submit it as a job to let it run on."
        result = self._result_file.read_text() if self._result_file.exists() else None
        return {
            "success": self.exit_code == 0,
            "output": self.text("out"),
            "result": result,
            "error": error,
            "exit_code": self.exit_code,
        }

    def summary(self) -> dict[str, Any]:
        """Return the protocol's description of a job."""
        seconds = (self.finished or time.time()) - self.started
        return {
            "job_id": self.job_id,
            "name": self.name,
            "type": self.kind,
            "status": self.status,
            "duration_seconds": round(seconds, 3),
        }


class Jobs:
    """All jobs of a session."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox = sandbox
        self._folder = folder
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, kind: str, code: str, name: str, limits: Limits, timeout: float | None = None
    ) -> Job:
        """Start a job; ``kind`` is ``python`` or ``shell``."""
        if kind not in ("python", "shell"):
            raise InvalidRequestError(f"A job's type is python or shell, not {kind!r}.")
        job = Job(kind, code, name, self._folder, self._sandbox.runtime)
        self._jobs[job.job_id] = job
        task = asyncio.create_task(job.run(self._sandbox, limits, timeout))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return job

    def get(self, job_id: str) -> Job:
        """Return the job whose id begins with ``job_id``."""
        found = [job for key, job in self._jobs.items() if job_id and key.startswith(job_id)]
        if len(found) != 1:
            raise JobNotFoundError(f"No job has the id {job_id!r}. List them: /api/jobs/list/.")
        return found[0]

    def list(self, status: str | None, limit: int) -> list[Job]:
        """Return the newest jobs first."""
        jobs = [job for job in self._jobs.values() if status in (None, "", job.status)]
        return jobs[::-1][:limit]
