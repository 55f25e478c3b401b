"""A Jupyter server as a process, with nothing of the user's own configuration."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_LONGEST_WAIT = 60.0
_PLACES = {
    "JUPYTER_CONFIG_DIR": "config",
    "JUPYTER_DATA_DIR": "data",
    "JUPYTER_RUNTIME_DIR": "runtime",
    "IPYTHONDIR": "ipython",
    "JUPYTERLAB_SETTINGS_DIR": "settings",
    "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
}


class Server:
    """``python -m MODULE``, whose files are all below a folder of its own.

    Parameters
    ----------
    own
        Where the server keeps what it keeps; its log is beside.
    root
        Where it finds notebooks.
    module, options
        What to run.
    environment
        What the server and its kernels know besides.
    """

    def __init__(
        self, own: Path, root: Path, module: str, *options: str, **environment: str
    ) -> None:
        self._log = own.with_name(f"{module}.log")
        isolated = {name: str(own / place) for name, place in _PLACES.items()}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *options],
                cwd=root,
                env={**os.environ, **isolated, **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self, find: Callable[[], str]) -> str:
        """Return the address that ``find`` returns once the server answers there.

        ``find`` raises OSError or ValueError as long as it does not.
        """
        until = time.monotonic() + _LONGEST_WAIT
        while time.monotonic() < until and self._process.poll() is None:
            try:
                return find()
            except (OSError, ValueError):
                time.sleep(0.1)
        self.close()
        raise AssertionError(self._log.read_text()[-3000:])

    def close(self) -> None:
        """End the server and its kernels."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
