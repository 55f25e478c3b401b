"""Process trees: what a session started, however deep."""

from __future__ import annotations

import contextlib

import psutil

#: psutil's clock may differ by a tick between two boots of the reader.
_SAME_START_SECONDS = 1.0


def started_at(pid: int) -> float | None:
    """Return the Unix time at which the process started; None when it is gone."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None


def runs(pid: int, created: float) -> bool:
    """Say whether the process that started then still runs, whoever started it."""
    found = started_at(pid)
    return found is not None and abs(found - created) < _SAME_START_SECONDS


def tree(pid: int) -> list[psutil.Process]:
    """Return the process and all its descendants; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill_tree(pid: int) -> None:
    """End the process and all its descendants at once."""
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def memory_in_use(pid: int) -> int:
    """Return the bytes of memory that the tree holds resident, shared pages counted once each."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            memory = process.memory_info()
            total += memory.rss - memory.shared
    return total
