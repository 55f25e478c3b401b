"""The kernel process: executes cells on its main thread, inside a running event loop.

As in a notebook, the loop turns between cells and while one awaits, so that tasks a cell has
started go on.
"""

from __future__ import annotations

import asyncio
import builtins
import getpass
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from json import loads
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

from clouditia_jupyter import namespace
from clouditia_jupyter.client.agent.remote import variables
from clouditia_jupyter.client.agent.remote.output import Outbox, OutStream


class Interrupts:
    """What SIGINT does: raises in the cell's code, or ends what the cell awaits.

    Between cells it means nothing.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self.came = False

    def begin(self, task: asyncio.Task[Any] | None) -> None:
        """Let it mean this task from now on; None ends that."""
        self._task = task
        if task is not None:
            self.came = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle one; the main thread is anywhere."""
        task = self._task
        if task is None or task.done():
            return
        self.came = True
        if asyncio.current_task(task.get_loop()) is task:
            raise KeyboardInterrupt
        # it waits for something, and the loop runs
        task.get_loop().call_soon_threadsafe(task.cancel)


class Cells:
    """Takes commands from the broker, one after the other."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._outbox = Outbox(connection)
        self._interrupts = Interrupts()
        self._pid = os.getpid()
        self._commands: asyncio.Queue[dict[str, Any]]

    async def serve(self) -> None:
        """Execute until the broker is gone or a cell says ``exit``."""
        self._commands = asyncio.Queue()
        signal.signal(signal.SIGINT, self._interrupts.handle)
        sys.stdout = OutStream(self._outbox, "stdout", 1)
        sys.stderr = OutStream(self._outbox, "stderr", 2)
        shell = make_shell(self._outbox, self._interrupts)
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._receive, args=(loop,), name="commands", daemon=True).start()
        self._outbox.event("ready", {})
        while not shell.ended:
            command = await self._commands.get()
            if command["op"] == "run":
                await self._run(shell, command)
            else:
                self._outbox.event("task", _do(shell, command))
        self._outbox.flush()

    async def _run(self, shell: Any, command: dict[str, Any]) -> None:
        failure: dict[str, Any] = {}

        async def cell() -> Any:
            self._outbox.event("begun", {})
            try:
                answer = _do(shell, {**command, "op": "bind"}) if "path" in command else {}
                if not answer:
                    return await shell.run(command)
                reason = answer["refused"]
                failure.update(ename="ValueTransferError", evalue=reason, refused=True)
                self._outbox.event("error", {**failure, "traceback": [reason], "final": True})
                return False, None
            # it came while no code of the cell's own ran, and nothing has told of it
            except (KeyboardInterrupt, asyncio.CancelledError):
                self._interrupts.begin(None)
                error = {"ename": "KeyboardInterrupt", "evalue": "", "final": True}
                self._outbox.event("error", {**error, "traceback": ["KeyboardInterrupt"]})
                return False, None
            # what executes cells has failed itself: a cell can break that, and the next mend it
            except BaseException as error:
                failure.update(ename=type(error).__name__, evalue=str(error))
                trace = traceback.format_exc().splitlines()
                self._outbox.event("error", {**failure, "traceback": trace, "final": True})
                return False, None
            finally:
                self._interrupts.begin(None)

        signal.signal(signal.SIGINT, self._interrupts.handle)  # whatever the last cell made of it
        # what a cell sets in it, the later ones find: decimal's precision, NumPy's print options
        task = shell.context.run(asyncio.get_running_loop().create_task, cell())
        self._interrupts.begin(task)
        try:
            ok, count = await task
        except asyncio.CancelledError:  # before its first step
            ok, count = False, None
        finally:
            self._interrupts.begin(None)
        if os.getpid() != self._pid:
            os._exit(0)  # a fork that came to the end of its cell: there is one kernel
        status = "ok" if ok else "error"
        done = {"status": status, "execution_count": count, "ended": shell.ended}
        done.update(failure or shell.failure())
        self._outbox.event("done", done)

    def _receive(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                command = loads(self._connection.recv_bytes())
            except (EOFError, OSError):
                os._exit(0)  # without its broker nobody can see or end it
            loop.call_soon_threadsafe(self._commands.put_nowait, command)


def _do(shell: Any, command: dict[str, Any]) -> dict[str, Any]:
    """Return what comes of a task, be it the reason why nothing does."""
    operations: dict[str, Callable[[], dict[str, Any]]] = {
        "bind": lambda: variables.bind(shell.namespace, command),
        "fetch": lambda: variables.fetch(shell.namespace, command),
        "look_up": lambda: namespace.look_up(shell.namespace, command["names"], command["modules"]),
        "complete": lambda: shell.complete(command["code"], command["cursor_pos"]),
        "inspect": lambda: shell.inspect(
            command["code"], command["cursor_pos"], command["detail_level"]
        ),
    }
    try:
        return operations[command["op"]]()
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}


def make_shell(outbox: Outbox, interrupts: Interrupts) -> Any:
    """Return what executes code: IPython, or the little that can be done without it."""
    try:
        from clouditia_jupyter.client.agent.remote.shell import Shell
    except ImportError:
        from clouditia_jupyter.client.agent.remote.plain import PlainShell

        return PlainShell(outbox)
    return Shell.make(outbox, interrupts)


def _refuse(function: str) -> Callable[..., str]:
    """Return what stands for a function that would ask somebody."""

    def refuse(*args: Any, **kwargs: Any) -> str:
        message = f"{function} was called, but this frontend does not support input requests."
        try:
            from IPython.core.error import StdinNotImplementedError
        except ImportError:
            raise NotImplementedError(message) from None
        raise StdinNotImplementedError(message)

    return refuse


def main(fd: int) -> None:
    """Be the kernel process of the broker at the other end of ``fd``."""
    os.set_inheritable(fd, False)
    # as a notebook's kernel has them: the help of a program in a cell shows the first
    sys.argv = ["ipykernel_launcher.py", "-f", f"kernel-{os.getpid()}.json"]
    # what a notebook's kernel tells the programs that cells start
    os.environ.update(TERM="xterm-color", PAGER="cat", GIT_PAGER="cat")
    os.environ.update(CLICOLOR="1", CLICOLOR_FORCE="1", FORCE_COLOR="1")
    builtins.input, getpass.getpass = _refuse("raw_input"), _refuse("getpass")
    asyncio.run(Cells(Connection(fd)).serve())
