"""How a session's processes are fenced in, where bubblewrap is installed.

Inside, the session's folder is ``/home/coder/workspace`` (the path that code written for
clouditia.com expects), and the platform's state, its keys and every other session are out of
sight. Without bubblewrap the session works in its folder, which is also its ``HOME``, and can read
whatever its user can: a guard against accidents only. Neither is a security boundary between
people who distrust each other.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import clouditia_jupyter

#: Where a session finds its folder inside the sandbox.
WORKSPACE = Path("/home/coder/workspace")
_HOMES = Path("/home")
_TMP = Path("/tmp")


@cache
def find_bwrap() -> tuple[str, ...] | None:
    """Return how to call bubblewrap on this machine; None where it is missing or may not run."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return None
    # inside some containers a new /proc cannot be mounted; then the processes stay visible
    for namespace in (("--unshare-pid", "--proc", "/proc"), ()):
        call = (bwrap, "--dev-bind", "/", "/", "--die-with-parent", *namespace)
        if subprocess.run([*call, "true"], capture_output=True, check=False).returncode == 0:
            return call
    return None


@dataclass(frozen=True)
class Sandbox:
    """The fence around one session.

    Attributes
    ----------
    folder
        The session's own folder, as the platform sees it.
    scratch
        The session's folder for temporary files; inside, it is ``/tmp``.
    runtime
        The session's folder for sockets and values in passing; same path in and outside.
    hidden
        Folders that the session must not see: the platform's state, everybody's sockets.
    bwrap
        How to call bubblewrap; None for no fence.
    """

    folder: Path
    scratch: Path
    runtime: Path
    hidden: tuple[Path, ...]
    bwrap: tuple[str, ...] | None

    @property
    def workspace(self) -> Path:
        """The session's folder, as the session sees it."""
        return WORKSPACE if self.bwrap else self.folder

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return the command line that runs ``argv`` inside."""
        if self.bwrap is None:
            return list(argv)
        fence = ["--tmpfs", str(_HOMES), *_homes_read_only()]
        fence += ["--bind", str(self.scratch), str(_TMP)]
        python = _python_in_tmp()
        for path in python:
            fence += ["--ro-bind", str(path), str(path)]
        for path in self.hidden:
            # the rest of /tmp is out of sight already
            if not path.is_relative_to(_TMP) or any(path.is_relative_to(p) for p in python):
                fence += ["--tmpfs", str(path)]
        fence += ["--bind", str(self.runtime), str(self.runtime)]
        fence += ["--bind", str(self.folder), str(WORKSPACE), "--chdir", str(WORKSPACE)]
        return [*self.bwrap, *fence, "--", *argv]

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Return the environment for the session, free of the platform's own settings."""
        private = ("CLOUDITIA_", "JPY_", "JUPYTER_", "IPYTHON", "PYTEST_")
        kept = {k: v for k, v in inherited.items() if not k.startswith(private)}
        home = str(self.workspace)
        return {
            **kept,
            "HOME": home,
            "PWD": home,
            "TMPDIR": str(_TMP if self.bwrap else self.scratch),
            "IPYTHONDIR": str(self.runtime / "ipython"),
            "MPLCONFIGDIR": str(self.runtime / "matplotlib"),
        }


def _homes_read_only() -> list[str]:
    """Bind the real homes back, since the user's Python often lives in one of them."""
    if not _HOMES.is_dir():
        return []
    binds: list[str] = []
    for home in sorted(_HOMES.iterdir()):
        # a real user named coder: its entries one by one, or there is no place for the workspace
        entries = sorted(home.iterdir()) if home == WORKSPACE.parent else [home]
        for entry in entries:
            if entry != WORKSPACE and entry.exists():
                binds += ["--ro-bind", str(entry), str(entry)]
    return binds


def _python_in_tmp() -> list[Path]:
    """Return what of the user's Python lives in ``/tmp``, as that of a trial may."""
    package = Path(clouditia_jupyter.__file__).parent
    needed = {Path(sys.prefix), Path(sys.base_prefix), package}
    return sorted(path for path in needed if path.is_relative_to(_TMP))
