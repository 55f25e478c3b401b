"""What runs inside a session's kernel process: an IPython kernel without its fixed waits.

A stock kernel sleeps half a millisecond before each reply, and waits for its output thread at
each flush for longer than it must. Both are taken out, here and in ``streams``, so a remote cell
can be quicker than a local one.

The pod calls the functions below by name, as silent expressions between two cells.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from ipykernel import kernelapp, zmqshell
from ipykernel.ipkernel import IPythonKernel

from clouditia_jupyter.failures import TellsFailures
from clouditia_jupyter.platform.pod.comms import TARGET
from clouditia_jupyter.platform.pod.interrupts import Interrupts
from clouditia_jupyter.platform.pod.limits import end_with_parent
from clouditia_jupyter.platform.pod.message import FAILURE, QUESTION
from clouditia_jupyter.platform.pod.streams import IOPubThread

_NUDGE_SECONDS = 0.02


# libraries know a notebook by this name
class ZMQInteractiveShell(TellsFailures, zmqshell.ZMQInteractiveShell):
    """The stock shell, which says when a cell's own code begins and what it fails with."""

    __module__ = zmqshell.__name__
    interrupts = Interrupts()

    def run_code(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, bool]:
        """Execute a piece of the cell's code; see the base class."""
        self.interrupts.enter_code()
        # no frame of ours between IPython's and the cell's: they count towards its recursion
        piece: Coroutine[Any, Any, bool] = super().run_code(*args, **kwargs)  # type: ignore[no-untyped-call]
        return piece

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        if self.failing:
            hook: Any = self.displayhook
            hook.session.send(hook.pub_socket, FAILURE, {}, hook.parent_header)
        super()._showtraceback(etype, evalue, stb)  # type: ignore[no-untyped-call]

    def _get_exc_info(self, exc_tuple: Any = None) -> Any:
        """Return what a traceback shows: all but our own frame at an interrupt's end."""
        etype, value, tb = super()._get_exc_info(exc_tuple)  # type: ignore[no-untyped-call]
        link = tb
        while link is not None and link.tb_next is not None:
            if link.tb_next.tb_frame.f_code is Interrupts.handle.__code__:
                link.tb_next = None
            link = link.tb_next
        return etype, value, tb


class ToldTargets(dict[str, Any]):
    """The comm targets of a kernel, which tells its front ends as they come and go."""

    def __init__(self, kernel: IPythonKernel) -> None:
        self._kernel: Any = kernel

    def __setitem__(self, name: str, target: Any) -> None:
        super().__setitem__(name, target)
        self._tell(name, registered=True)

    def pop(self, name: str, *default: Any) -> Any:
        """Take a target out, and tell it."""
        target = super().pop(name, *default)
        self._tell(name, registered=False)
        return target

    def _tell(self, name: str, *, registered: bool) -> None:
        kernel = self._kernel
        content = {"target_name": name, "registered": registered}
        kernel.session.send(kernel.iopub_socket, TARGET, content, parent=kernel.get_parent())


class PodKernel(IPythonKernel):
    """The stock IPython kernel, answering at once and interrupted for sure."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)  # type: ignore[no-untyped-call]
        self.comm_manager.targets = ToldTargets(self)

    _execute_sleep = 0.0
    shell_class = ZMQInteractiveShell
    _interrupts = ZMQInteractiveShell.interrupts

    def pre_handler_hook(self) -> None:
        """Begin a request: from here to ``post_handler_hook`` SIGINT means its cell.

        Not in a subshell, which works beside the cell: no signal reaches its thread.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._interrupts.reset()
        self.saved_sigint_handler = signal.signal(signal.SIGINT, self._interrupts.handle)

    def post_handler_hook(self) -> None:
        """End a request."""
        if threading.current_thread() is not threading.main_thread():
            return
        super().post_handler_hook()  # type: ignore[no-untyped-call]
        self._interrupts.reset()

    def _input_request(self, prompt: str, ident: Any, parent: Any, password: bool = False) -> str:
        """Say among the outputs that a question comes: what is before that is seen before it."""
        sys.stdout.flush()
        sys.stderr.flush()
        session: Any = self.session
        session.send(self.iopub_socket, QUESTION, {}, parent)
        return super()._input_request(prompt, ident, parent, password)

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Interrupt the cell that runs; on the control thread."""
        signalled = bool(parent["content"].get("signalled"))
        self._interrupts.ask(signalled=signalled)
        if signalled:
            session: Any = self.session
            session.send(stream, "interrupt_reply", {"status": "ok"}, parent, ident=ident)
        else:
            await super().interrupt_request(stream, ident, parent)  # type: ignore[no-untyped-call]
        self._nudging = asyncio.create_task(self._nudge())

    async def _nudge(self) -> None:
        pause = _NUDGE_SECONDS
        await asyncio.sleep(pause)
        # where a cell awaits, the signal has called something for the loop to do, and not woken it
        loop: Any = self.io_loop
        loop.asyncio_loop.call_soon_threadsafe(lambda: None)
        while self._interrupts.nudge():
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)  # in a long call of foreign code nothing helps


class IPKernelApp(kernelapp.IPKernelApp):
    """Starts a :class:`PodKernel`, which ends with its pod and with nothing else."""

    kernel_class = PodKernel
    outstream_class = "clouditia_jupyter.platform.pod.streams.OutStream"
    # somebody's child: do not tell a terminal how to connect
    parent_handle = 1

    def initialize(self, argv: Any = None) -> None:
        """Make everything ready; afterwards the process's arguments are those of any kernel."""
        self.config.HistoryManager.hist_file = ":memory:"
        # completions are of live objects, and at once: reading source code for them takes too long
        self.config.IPCompleter.use_jedi = False
        super().initialize(argv)  # type: ignore[no-untyped-call]
        # a program's help in a cell shows its name
        launcher = Path(kernelapp.__file__).parents[1] / "ipykernel_launcher.py"
        sys.argv = [str(launcher), "-f", self.abs_connection_file]

    def init_iopub(self, context: Any) -> None:
        """Open the channel of outputs, which drops none of them when the machine is busy."""
        context.sndhwm = 0
        # there is no trait for it
        kernelapp.IOPubThread = IOPubThread  # type: ignore[attr-defined]
        super().init_iopub(context)  # type: ignore[no-untyped-call]

    def init_poller(self) -> None:
        """Poll for no parent: in a sandbox the parent's id means nothing; see :func:`prepare`."""


def configure(
    cpus: list[int], memory_bytes: int, file_bytes: int, environment: dict[str, str]
) -> None:
    """Give a kernel that was started blank its session's resources.

    ``memory_bytes`` counts from what the kernel itself needs; beyond it a run meets
    ``MemoryError``. These are guard rails, not isolation.
    """
    os.environ.update(environment)
    for task in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(task.name), cpus)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data_in_use() + memory_bytes, hard))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, hard))


def _data_in_use() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def _end_with_pod() -> None:
    """End this process and its group when the pod lets go of the pipe that it began with.

    A fence whose own parent dies as it begins may miss that, and live on: this never does.
    """
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # what cells start finds an end at once
    os.close(nothing)

    def wait() -> None:
        os.read(pipe, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, name="pod", daemon=True).start()


def prepare() -> None:
    """Make the process fit to be a session's kernel."""
    # a group of its own, so that an interrupt reaches what the cell started and nobody else
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    # a kernel whose pod is gone can reach nobody, but would hold its GPU
    end_with_parent()
    _end_with_pod()
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    # IPython puts the working folder where it has it in a local notebook
    del sys.path[0]
    # an import by the pod's expressions must find this very module
    sys.modules["clouditia_jupyter.platform.pod.entry"] = sys.modules["__main__"]


if __name__ == "__main__":
    prepare()
    # in no function of ours: its frame would count towards the recursion of cells
    IPKernelApp.launch_instance()
