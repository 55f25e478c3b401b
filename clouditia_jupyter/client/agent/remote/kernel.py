"""The broker's end of one kernel process: start it, hear it, interrupt it, end it."""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

_CHUNK = 1 << 16
_LOOK = 1.0
#: What a kernel that says nothing any more gets to end by itself, in seconds.
_DYING = 3.0


class Kernel:
    """One process that executes cells.

    Parameters
    ----------
    bundle
        Path of the agent's zip file.
    on_message
        Called on a thread of ours with each message's kind and JSON bytes. What cells wrote to
        the process's own standard streams comes as ``stream`` messages.
    on_death
        Called on that thread, last, with the reason.
    """

    def __init__(
        self,
        bundle: str,
        on_message: Callable[[Kernel, str, bytes], None],
        on_death: Callable[[Kernel, str], None],
    ) -> None:
        self._on_message, self._on_death = on_message, on_death
        self._connection, theirs = Pipe()
        pipes = [os.pipe(), os.pipe()]
        self._outputs = {
            end[0]: (name, codecs.getincrementaldecoder("utf-8")("replace"))
            for end, name in zip(pipes, ("stdout", "stderr"))  # noqa: B905 (3.9 has no strict)
        }
        self._process = subprocess.Popen(
            [sys.executable or "python3", bundle, "cells", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=pipes[0][1],
            stderr=pipes[1][1],
            pass_fds=[theirs.fileno()],
            # a group of its own, so that an interrupt reaches what a cell started and nobody else
            start_new_session=True,
        )
        theirs.close()
        for reading, writing in pipes:
            os.close(writing)
            os.set_blocking(reading, False)
        threading.Thread(target=self._listen, name="kernel", daemon=True).start()

    def send(self, command: dict[str, Any]) -> None:
        """Have the kernel do something; where it is dying, its death will be told."""
        with contextlib.suppress(OSError):
            self._connection.send_bytes(json.dumps(command).encode())

    def interrupt(self) -> None:
        """Send what Ctrl-C sends."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """End the process and everything that it started."""
        for pid in tree(self._process.pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def drain(self) -> None:
        """Deliver what is there of the process's own streams."""
        for reading in list(self._outputs):
            while self._read(reading):
                pass

    def _listen(self) -> None:
        while True:
            arrived = wait([self._connection, *self._outputs], _LOOK)
            # a fork of the kernel that lives on keeps its end of the connection open
            if not arrived and self._process.poll() is not None:
                self._bury()
                return
            # a message comes when all that was written before it has been taken
            if not self._hear():
                self._bury()
                return
            for reading in arrived:
                if isinstance(reading, int):
                    self._read(reading)

    def _hear(self) -> bool:
        """Take all messages that are there; return whether more may come."""
        try:
            while self._connection.poll():
                kind, _, content = self._connection.recv_bytes().partition(b"\n")
                self._on_message(self, kind.decode(), content)
        except Exception:  # it has closed its end, or wrote there what is no message
            return False
        return True

    def _read(self, reading: int) -> bool:
        """Take something of one of the process's own streams; return whether more may be there."""
        if reading not in self._outputs:
            return False  # closed since it was seen to be ready
        name, decoder = self._outputs[reading]
        try:
            data = os.read(reading, _CHUNK)
        except BlockingIOError:
            return False
        if not data:  # nobody has the other end any more
            os.close(reading)
            del self._outputs[reading]
        elif text := decoder.decode(data):
            content = json.dumps({"name": name, "text": text}).encode()
            self._on_message(self, "stream", content)
        return bool(data)

    def _bury(self) -> None:
        self.drain()
        try:
            code = self._process.wait(_DYING)
        except subprocess.TimeoutExpired:  # a cell closed its connection, and goes on
            self.kill()
            code = self._process.wait()
        for reading in self._outputs:
            os.close(reading)
        self._connection.close()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        if -code == signal.SIGKILL:
            how += " (its memory may have run out)"
        self._on_death(self, f"The kernel {how}; its variables are gone.")


def tree(root: int) -> list[int]:
    """Return a process and its descendants, as far as /proc knows them."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found
