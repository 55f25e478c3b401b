"""The broker's queue: one run after the other, short tasks between them, and the kernel's life."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clouditia_jupyter.client.agent.remote.kernel import Kernel
from clouditia_jupyter.client.agent.remote.run import Run, Task

_RUN_ID = re.compile(r"[0-9A-Za-z_-]{8,80}")
_TASKS_KEPT = 100
#: Of what threads give between two cells, the last so many events are kept for the next one.
_LATE = 1000
#: Seconds that a run which reached its limit has to heed the interrupt.
_GRACE = 10.0


class RefusedError(Exception):
    """What a request gets for an answer where it cannot be done."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Queue:
    """All runs of a session, and the kernel that executes them.

    Attributes
    ----------
    changed
        Held while anything here changes; waiters are told of each change.
    """

    def __init__(self, bundle: Path) -> None:
        self.changed = threading.Condition(threading.RLock())
        self._bundle = bundle
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, Task] = {}
        self._waiting: deque[Run | Task] = deque()
        self._current: Run | Task | None = None
        self._packed = bundle.read_bytes()
        self._late: deque[tuple[str, bytes]] = deque(maxlen=_LATE)
        self._ready = False
        self._last_restart = ""
        self._kernel: Kernel | None = None
        self._start()

    @property
    def busy(self) -> bool:
        """Whether anything runs or waits."""
        return self._current is not None or bool(self._waiting)

    def wait(self, until: Callable[[], bool], seconds: float) -> None:
        """Return when ``until`` says so, after ``seconds`` at the latest."""
        with self.changed:
            self.changed.wait_for(until, seconds)

    def submit(self, run_id: str, command: dict[str, Any]) -> Run:
        """Return the run of this id, queued now unless it exists."""
        with self.changed:
            if run_id not in self._runs:
                if not _RUN_ID.fullmatch(run_id):
                    raise RefusedError(
                        400, "invalid_request", "A run_id is 8 to 80 letters and digits."
                    )
                run = self._runs[run_id] = Run(run_id, command, self._bundle.parent)
                self._waiting.append(run)
                self._next()
            return self._runs[run_id]

    def find(self, run_id: str) -> Run:
        """Return an earlier run."""
        with self.changed:
            if run_id not in self._runs:
                raise RefusedError(404, "job_not_found", f"The session has no run {run_id!r}.")
            return self._runs[run_id]

    def summaries(self) -> list[dict[str, Any]]:
        """Return what is known of each run, the newest first."""
        with self.changed:
            return [run.summary() for run in reversed(list(self._runs.values()))]

    def task(self, task_id: str, command: dict[str, Any]) -> Task:
        """Return the task of this id, queued now unless it exists."""
        with self.changed:
            if task_id not in self._tasks:
                self._tasks[task_id] = Task(command)
                self._waiting.append(self._tasks[task_id])
                for old in list(self._tasks)[:-_TASKS_KEPT]:
                    del self._tasks[old]
                self._next()
            return self._tasks[task_id]

    def ask(self, command: dict[str, Any]) -> Task | None:
        """Return a task that the kernel does now; None where it is busy."""
        with self.changed:
            if self.busy or not self._ready:
                return None
            task = Task(command)
            self._waiting.append(task)
            self._next()
            return task

    def interrupt(self, run: Run) -> None:
        """Interrupt a run as Ctrl-C does; one that still waits is dropped."""
        with self.changed:
            if run in self._waiting:
                self._waiting.remove(run)
                run.lose("The run was cancelled before it began.")
                self.changed.notify_all()
            elif run is self._current:
                # before the kernel has taken it up, the signal would mean nothing
                run.interrupted = True
                if run.begun and self._kernel is not None:
                    self._kernel.interrupt()

    def restart(self, restart_id: str) -> None:
        """Replace the kernel by a fresh one; what runs or waits is lost."""
        with self.changed:
            if restart_id != self._last_restart:
                self._last_restart = restart_id
                self._replace("The kernel was restarted; its variables are gone.")

    def close(self) -> None:
        """End the kernel."""
        with self.changed:
            kernel, self._kernel = self._kernel, None
            if kernel is not None:
                kernel.kill()

    def _replace(self, reason: str) -> None:
        self.close()
        self._lose(reason)
        self._start()

    def _start(self) -> None:
        self._ready = False
        self._late = deque(maxlen=_LATE)
        if not self._bundle.exists():  # a cell cleaned up the folder for temporary files
            self._bundle.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._bundle.write_bytes(self._packed)
        self._kernel = Kernel(str(self._bundle), self._on_message, self._on_death)

    def _next(self) -> None:
        if self._kernel is None:
            self._start()
        if self._current is None and self._waiting and self._kernel is not None:
            self._current = current = self._waiting.popleft()
            if isinstance(current, Run):
                current.begin()
                for kind, content in self._late:
                    current.log.append(kind, content)
                self._late.clear()
                self._limit(current)
            self._kernel.send(current.command)

    def _limit(self, run: Run) -> None:
        seconds = run.command.get("limit")
        if seconds is not None:
            _later(float(seconds), self._expire, run, f"its limit of {float(seconds):,.0f} s")

    def _expire(self, run: Run, limit: str) -> None:
        with self.changed:
            if run is self._current:
                text = f"The run reached {limit} and is interrupted.\n"
                run.log.add("stream", name="stderr", text=text)
                self.interrupt(run)
                self.changed.notify_all()
                _later(_GRACE, self._overrun, run, limit)

    def _overrun(self, run: Run, limit: str) -> None:
        with self.changed:
            if run is self._current:
                self._replace(
                    f"The run reached {limit} and did not heed the interrupt; its kernel was "
                    "killed, and its variables are gone."
                )

    def _on_message(self, kernel: Kernel, kind: str, content: bytes) -> None:
        with self.changed:
            if kernel is not self._kernel:
                return  # killed, and the last of it is still on its way
            current = self._current
            if kind == "ready":
                self._ready = True
            elif kind == "begun" and isinstance(current, Run):
                current.begun = True
                if current.interrupted:
                    kernel.interrupt()
            elif kind == "done" and isinstance(current, Run):
                kernel.drain()  # what its own streams got came before
                facts = json.loads(content)
                ended = facts.pop("ended")
                current.finish(**facts)
                self._current = None
                if ended:  # the cell said exit
                    self._start()
                self._next()
            elif kind == "task" and isinstance(current, Task):
                current.result = json.loads(content)
                self._current = None
                self._next()
            elif isinstance(current, Run):
                current.log.append(kind, content)
            else:
                # a thread that outlives its cell: shown by the next one, as nothing is lost
                self._late.append((kind, content))
            self.changed.notify_all()

    def _on_death(self, kernel: Kernel, reason: str) -> None:
        with self.changed:
            if kernel is self._kernel:
                idle = not self.busy
                self._kernel = None
                self._lose(reason)
                # one that never was ready would not be the next time: only for the next run
                if self._ready:
                    self._start()
                if idle:  # nobody was told: the next run says it
                    content = {"name": "stderr", "text": f"{reason}\n"}
                    self._late.append(("stream", json.dumps(content).encode()))

    def _lose(self, reason: str) -> None:
        lost = [self._current] if self._current else []
        lost += self._waiting
        self._current = None
        self._waiting.clear()
        for item in lost:
            item.lose(reason)
        self.changed.notify_all()


def _later(seconds: float, act: Callable[..., None], *arguments: Any) -> None:
    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), act, arguments)
    timer.daemon = True
    timer.start()
