"""Who a pod is, written into its folder: enough to find it again when nobody else remembers it."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from clouditia_jupyter.platform.pod.processes import started_at

_NAME = "pod.json"


@dataclass(frozen=True)
class Identity:
    """A pod's process, and whose it is.

    Attributes
    ----------
    pid, created
        The process and its start time: a reused ``pid`` is not mistaken for the pod.
    runtime
        Its folder for sockets and values in passing.
    owner
        The account whose platform started it.
    expired
        Whether it ended by itself, at its session's limit.
    """

    pid: int
    created: float
    runtime: str
    owner: str
    expired: bool = False

    @classmethod
    def own(cls, runtime: Path, owner: str) -> Identity:
        """Return the identity of this very process."""
        pid = os.getpid()
        return cls(pid, started_at(pid) or 0.0, str(runtime), owner)

    @classmethod
    def read(cls, folder: Path) -> Identity | None:
        """Return whose pod the folder is; None where that is not written there."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            return cls(**json.loads((folder / _NAME).read_text()))
        return None

    def write(self, folder: Path) -> None:
        """Leave it in the pod's folder."""
        (folder / _NAME).write_text(json.dumps(asdict(self)))

    def expire(self, folder: Path) -> None:
        """Note that the pod ends at its session's limit."""
        with contextlib.suppress(OSError):
            replace(self, expired=True).write(folder)
