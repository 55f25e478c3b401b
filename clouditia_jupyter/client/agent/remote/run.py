"""What waits for the kernel: cell runs, and short tasks between them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from clouditia_jupyter.client.agent.remote.log import Log


class Run:
    """One piece of code, from being queued to its ``done`` event.

    Attributes
    ----------
    status
        ``queued``, ``running``, then ``ok``, ``error`` or ``lost``.
    begun
        Whether the kernel has taken up the code, so that a signal would mean it.
    interrupted
        Whether an interrupt came before that.
    """

    def __init__(self, run_id: str, command: dict[str, Any], folder: Path) -> None:
        lines = (line for line in str(command["code"]).splitlines() if line.strip())
        self.run_id = run_id
        self.command = {**command, "op": "run"}
        self.log = Log(folder / f"run-{run_id}")
        self._first_line = next(lines, "")[:200]
        self.status = "queued"
        self.begun = self.interrupted = False
        self._started: float | None = None
        self._finished: float | None = None

    @property
    def over(self) -> bool:
        """Whether the ``done`` event has been written."""
        return self._finished is not None

    def begin(self) -> None:
        """Note that the kernel has it now."""
        self.status, self._started = "running", time.time()

    def finish(self, status: str, **facts: Any) -> None:
        """Write the last event."""
        self.status, self._finished = status, time.time()
        seconds = round(self._finished - (self._started or self._finished), 6)
        self.log.add("done", status=status, seconds=seconds, **facts)
        self.log.close()
        if "path" in self.command:  # what went along has arrived, or nobody needs it
            Path(self.command["path"]).unlink(missing_ok=True)
        self.command = {}

    def lose(self, reason: str) -> None:
        """Finish a run whose kernel is gone, or that was cancelled before it began."""
        if not self.over:
            error = {"ename": "SessionLostError", "evalue": reason, "traceback": [reason]}
            self.log.add("error", **error, final=True)
            self.finish("lost", execution_count=None)

    def summary(self) -> dict[str, Any]:
        """Return what the list of runs says of this one."""
        end = self._finished or time.time()
        return {
            "run_id": self.run_id,
            "status": self.status,
            "started_at": self._started,
            "seconds": round(end - self._started, 3) if self._started else 0.0,
            "first_line": self._first_line,
            "events": len(self.log),
        }


class Task:
    """Something short for the kernel to do between two runs: a value, a question.

    Attributes
    ----------
    result
        What came of it; None until then.
    """

    def __init__(self, command: dict[str, Any]) -> None:
        self.command = command
        self.result: dict[str, Any] | None = None

    def lose(self, reason: str) -> None:
        """End it without the kernel."""
        if self.result is None:
            self.result = {"lost": reason}
