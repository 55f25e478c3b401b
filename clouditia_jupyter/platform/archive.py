"""The pods' folders: what stays in them when their sessions have ended, and for how long.

What runs put out stays. The session's own files go when its user stops it, as they were told, and
stay where nobody asked for the end: at a limit, or when the pod was lost. Both are kept for some
days, and only as much of it as has room.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from clouditia_jupyter.platform.pod.identity import Identity
from clouditia_jupyter.platform.pod.processes import kill_tree, runs

logger = logging.getLogger(__name__)

_DAY_SECONDS = 86_400.0
#: What has just ended is not taken for being large.
_FRESH_SECONDS = _DAY_SECONDS
#: Of no use without the session.
_TRANSIENT = ("tmp", "runs/outside.ndjson", "pod.json")
_WORTH_KEEPING = ("runs", "jobs", "workspace", "pod.log")


@dataclass(frozen=True)
class Archive:
    """The folder in which each pod has one.

    Attributes
    ----------
    folder
        Made if missing.
    days
        How long a pod's folder stays once its session has ended.
    size
        Bytes that such folders may take together; the oldest go first.
    """

    folder: Path
    days: float
    size: int

    def end_strays(self, owner: str, live: Collection[str]) -> None:
        """End what an earlier platform left: the owner's pods that are no session's.

        Parameters
        ----------
        live
            Folders of the pods that sessions have.
        """
        for folder in self._ended(live):
            found = Identity.read(folder)
            if found is None or found.owner != owner:
                continue
            if runs(found.pid, found.created):
                logger.warning("pod %s has no session, and is ended", folder.name[:8])
                kill_tree(found.pid)
            self.clear(folder, keep_files=True)

    def clear(self, folder: Path, *, keep_files: bool) -> None:
        """Remove what is of no use without the pod, which has ended; all of it if nothing is.

        Parameters
        ----------
        keep_files
            Whether the session's own files stay.
        """
        found = Identity.read(folder)
        if found is not None and Path(found.runtime).name.startswith("pod-"):
            shutil.rmtree(found.runtime, ignore_errors=True)
        gone = [folder / name for name in _TRANSIENT]
        if not keep_files:
            gone.append(folder / "workspace")
        for path in gone:
            # what its user has made unremovable must not keep the session from ending
            with contextlib.suppress(OSError):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
        if not any(_has_anything(folder / name) for name in _WORTH_KEEPING):
            shutil.rmtree(folder, ignore_errors=True)

    def trim(self, live: Collection[str]) -> None:
        """Remove the folders that are too old, then the oldest until the rest has room."""
        now, room = time.time(), self.size
        for ended, folder in sorted(self._dated(live), reverse=True):
            room -= _size(folder)
            age = now - ended
            if age > self.days * _DAY_SECONDS or (room < 0 and age > _FRESH_SECONDS):
                logger.info("what was left of pod %s is removed", folder.name[:8])
                shutil.rmtree(folder, ignore_errors=True)

    def _ended(self, live: Collection[str]) -> Iterator[Path]:
        # by name, which is each pod's own: the same folder may be reached by another path today
        names = {Path(one).name for one in live}
        for folder in self.folder.iterdir():
            if folder.is_dir() and folder.name not in names:
                yield folder

    def _dated(self, live: Collection[str]) -> Iterator[tuple[float, Path]]:
        for folder in self._ended(live):
            with contextlib.suppress(FileNotFoundError):
                # clearing it was the last that happened to the folder itself
                yield folder.stat().st_mtime, folder


def _has_anything(path: Path) -> bool:
    try:
        if path.is_dir():
            return any(path.iterdir())
        return path.exists() and path.stat().st_size > 0
    except OSError:  # who cannot look inside does not remove it
        return True


def _size(folder: Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_blocks * 512  # noqa: PTH118
    return total
