"""What became of a session's runs, in a file beside their logs: it outlives the pod."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clouditia_jupyter.platform.pod.run import Run

_NAME = "history.ndjson"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND


class History:
    """Notes how the runs of one session fare, one JSON line each time.

    Parameters
    ----------
    folder
        Of the runs' logs. Nothing is written there before the first run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._fd: int | None = None

    def note(self, run: Run) -> None:
        """Note how a run stands; what a full disk does not take is not known later."""
        line = json.dumps(run.headline()) + "\n"
        with contextlib.suppress(OSError):
            if self._fd is None:
                self._fd = os.open(self._path, _FLAGS, 0o600)
            os.write(self._fd, line.encode())

    def close(self) -> None:
        """Write nothing more."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read(folder: Path) -> list[dict[str, Any]]:
    """Return what was noted last of each run in ``folder``, the newest run first.

    The session has ended: a run that had not is ``lost``.
    """
    noted: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(OSError):
        for line in (folder / _NAME).read_bytes().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # the last may be cut
                told = json.loads(line)
                noted[str(told["run_id"])] = told
    for told in noted.values():
        if told["status"] in ("queued", "running"):
            told["status"] = "lost"
    return list(noted.values())[::-1]
