"""The operating system's process of a kernel: how it is started, how it ended, what it wrote."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import secrets
import signal
import sys
import time
from pathlib import Path

from clouditia_jupyter.platform.pod.message import PORTS
from clouditia_jupyter.platform.pod.processes import kill_tree, tree
from clouditia_jupyter.platform.pod.sandbox import Sandbox

_ENTRY = "clouditia_jupyter.platform.pod.entry"


class KernelProcess:
    """One process, which executes the cells of a kernel until it ends.

    Attributes
    ----------
    address
        Path that its ``ipc`` endpoints begin with.
    key
        Signs what is sent to it.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        address: Path,
        key: bytes,
        log: Path,
        *,
        fenced: bool,
    ) -> None:
        self._process = process
        self._fenced = fenced
        self.address = address
        self.key = key
        self._log = log
        self._begin = log.stat().st_size

    @classmethod
    async def start(cls, sandbox: Sandbox, name: str, log: Path) -> KernelProcess:
        """Start a process in ``sandbox``, and do not wait for it.

        Parameters
        ----------
        name
            Of its endpoints: what is left of an earlier process must not answer for it.
        log
            Takes what the process itself writes.

        Raises
        ------
        OSError
            If the machine cannot start one.
        """
        address, key = sandbox.runtime / name, secrets.token_hex(16).encode()
        argv = [sys.executable, "-m", _ENTRY, "-f", str(_write_connection_file(address, key))]
        with log.open("ab") as file:
            process = await asyncio.create_subprocess_exec(
                *sandbox.command(argv),
                stdin=asyncio.subprocess.PIPE,  # nothing is written: its end is ours
                stdout=file,
                stderr=file,
                cwd=sandbox.folder,
                env=sandbox.environment(os.environ),
                start_new_session=True,
            )
        return cls(process, address, key, log, fenced=sandbox.bwrap is not None)

    @property
    def pid(self) -> int | None:
        """The process's id, or that of the fence around it; None when it has ended."""
        return self._process.pid if self._process.returncode is None else None

    async def ended(self) -> str:
        """Wait for its end, and return how it came about: ``was ended by signal 9``."""
        code = await self._process.wait()
        if code > 128:  # a fence reports its child's signal this way
            return f"was ended by signal {code - 128}"
        return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"

    def interrupt(self) -> bool:
        """Send it and what its cells started what Ctrl-C sends; return whether that worked."""
        family = tree(self._process.pid) if self._process.returncode is None else []
        # the fence leads a group of its own, as its first child that does is the kernel
        for process in family[self._fenced :]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if os.getpgid(process.pid) == process.pid:
                    os.killpg(process.pid, signal.SIGINT)
                    return True
        return False

    def end(self) -> None:
        """End it, and everything that it started."""
        if self._process.returncode is None:
            kill_tree(self._process.pid)

    def remove_files(self) -> None:
        """Remove its connection file and endpoints."""
        for left in self.address.parent.glob(f"{self.address.name}[.-]*"):
            left.unlink(missing_ok=True)

    def last_words(self, within: float = math.inf) -> str:
        """Return a sentence with its last line, if it wrote that in so many last seconds."""
        try:
            if time.time() - self._log.stat().st_mtime > within:
                return ""
            written = self._log.read_bytes()
        except OSError:
            return ""
        # the log is that of earlier processes, too, unless it has been begun anew
        own = written[self._begin :] if len(written) >= self._begin else written
        lines = own.decode(errors="replace").strip().splitlines()
        return f"It last wrote: {lines[-1][:300].rstrip('.')}." if lines else ""


def _write_connection_file(address: Path, key: bytes) -> Path:
    path = address.with_suffix(".json")
    ports = {f"{name}_port": port for name, port in PORTS.items()}
    scheme = {"signature_scheme": "hmac-sha256", "key": key.decode()}
    info = {"transport": "ipc", "ip": str(address), **ports, **scheme}
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump(info, file)
    return path
