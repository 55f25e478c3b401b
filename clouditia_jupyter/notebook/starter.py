"""Find the platform of this machine, or start it.

A running one leaves ``platform.json`` in its state folder. Two notebooks that want to start it at
once are put in order by a lock, so the second one finds what the first has started.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from clouditia_jupyter.config import Service
from clouditia_jupyter.errors import ConfigurationError, ConnectionFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Seconds that a platform may take from its start until it answers.
START_TIMEOUT = 60.0
#: Seconds without any session after which a platform that we started ends.
IDLE_EXIT = 900
#: What it is started with.
OPTIONS = ("--port", "0", "--idle-exit", str(IDLE_EXIT))


def find(folder: Path, *, besides: Service | None = None) -> Service | None:
    """Return the platform that runs on the state folder; None where none answers.

    A file that a killed platform left behind is told by its process, which is gone, and its port,
    on which nobody listens. Where strangers have both by now, the caller finds that out from the
    answers, and asks again for one ``besides``.
    """
    try:
        ready = json.loads((folder / "platform.json").read_text())
        service = Service.from_ready(ready)
        os.kill(int(ready["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return service if service != besides and _listens(service.computing_url) else None


def find_or_start(folder: Path, *, besides: Service | None = None) -> Service:
    """Return the platform of the state folder, started if need be; never ``besides``.

    Raises
    ------
    ConfigurationError
        If the folder cannot be written.
    ConnectionFailedError
        If the platform does not start; it gives the reason and where the log is.
    """
    running = find(folder, besides=besides)
    if running is not None:
        return running
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _only_one_starts(folder):
            return find(folder, besides=besides) or _start(folder, besides)
    except OSError as error:
        if isinstance(error, ConnectionFailedError):
            raise
        raise ConfigurationError(
            f"The state folder {folder} cannot be used ({error.strerror or error}): "
            "set CLOUDITIA_STATE to a folder that you may write."
        ) from error


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1.0).close()
    except OSError:
        return False
    return True


@contextmanager
def _only_one_starts(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder / "starting.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _start(folder: Path, besides: Service | None) -> Service:
    log = folder / "platform.log"
    command = [sys.executable, "-m", "clouditia_jupyter.platform", "--state", str(folder)]
    command += OPTIONS
    # the platform's first line holds its key
    private = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(private, "ab") as stdio:
        begin = os.fstat(private).st_size
        # its own session, so that it outlives this kernel and an interrupt does not reach it
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdio, stderr=stdio, start_new_session=True
        )
    # collects the child's exit status whenever that comes
    threading.Thread(target=process.wait, name="clouditia-platform", daemon=True).start()
    # what is needed next loads while the platform does
    import_module("clouditia_jupyter.client.manager")
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        service = find(folder, besides=besides)
        if service is not None:
            return service
        if process.poll() is not None:
            raise ConnectionFailedError(
                f"The platform of this machine did not start: {_last_line(log, begin)} "
                f"Its log is {log}."
            )
        time.sleep(0.01)
    process.terminate()
    raise ConnectionFailedError(
        f"The platform of this machine did not answer within {START_TIMEOUT:.0f} s: "
        f"{_last_line(log, begin)} Its log is {log}."
    )


def _last_line(log: Path, begin: int) -> str:
    """Return the last thing that the platform said since ``begin``; never its ready line."""
    with log.open("rb") as lines:
        lines.seek(begin)
        words = [line.strip() for line in lines.read().decode(errors="replace").splitlines()]
    last = next((line for line in reversed(words) if line and line[0] != "{"), "it said nothing.")
    return last if last.endswith((".", "!")) else f"{last}."
