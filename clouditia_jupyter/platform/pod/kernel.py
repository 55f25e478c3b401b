"""One Jupyter kernel of a session: its runs, its requests, its end."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.errors import SessionLostError
from clouditia_jupyter.platform.pod.kernel_process import KernelProcess
from clouditia_jupyter.platform.pod.message import Message
from clouditia_jupyter.platform.pod.outside import Outside
from clouditia_jupyter.platform.pod.question import END_OF_INPUT
from clouditia_jupyter.platform.pod.requests import Requests
from clouditia_jupyter.platform.pod.run import Run
from clouditia_jupyter.platform.pod.sandbox import Sandbox

if TYPE_CHECKING:
    from clouditia_jupyter.platform.pod.channels import Channels

_START_TIMEOUT = 60.0
_REPLY_GRACE = 0.5
#: What a process wrote so long before its end may say why it ended.
_LAST_SECONDS = 3.0
#: How long what a program does at its exit may take.
_EXIT_SECONDS = 30.0


class Kernel:
    """A kernel in the session's sandbox, which executes one run after the other.

    Parameters
    ----------
    sandbox
        Where the process runs.
    name
        Distinguishes this kernel's files from those of the session's other kernels.
    log
        File for what the process itself writes.
    on_death
        Called with the reason when the process ends unasked.
    outside
        Takes what is said outside of runs, where there are front ends.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        name: str,
        log: Path,
        on_death: Callable[[str], None] | None = None,
        outside: Outside | None = None,
    ) -> None:
        self._sandbox = sandbox
        self._name = name
        self._processes = 0
        self._log = log
        self._on_death = on_death
        self._outside = outside
        self._session = ""
        self._runs: dict[str, Run] = {}
        self._queue: deque[Run] = deque()
        self._current: Run | None = None
        self._late: list[tuple[str, bytes]] = []
        self._preparation: asyncio.Task[None] | None = None
        self._channels: Channels | None = None
        self._requests: Requests | None = None
        self._process: KernelProcess | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._welcomed = asyncio.Event()
        self._ready = False
        self._staying = asyncio.Event()
        self._staying.set()
        self.death_note = ""

    @property
    def pid(self) -> int | None:
        """The process's id, or that of the fence around it; None when there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def gone(self) -> bool:
        """Whether there is no process, and all that the last one said has been taken."""
        return self._process is None and self._channels is None

    @property
    def busy(self) -> bool:
        """Whether a run is being executed."""
        return self._current is not None

    async def start(self, setup: str | None = None) -> None:
        """Start the process, evaluate ``setup`` there, then take up runs; see :meth:`ready`."""
        await self.spawn()
        await self.ready(setup)

    async def stays(self) -> None:
        """Return at once, or when a process in which a cell said ``exit`` has ended."""
        await self._staying.wait()

    async def spawn(self) -> None:
        """Start the process, and do not wait for it.

        Raises
        ------
        SessionLostError
            If the machine cannot start one.
        """
        self._processes += 1
        name = f"{self._name}-{self._processes}"
        self._welcomed.clear()
        self.death_note = ""
        try:
            process = await KernelProcess.start(self._sandbox, name, self._log)
        except OSError as error:
            raise SessionLostError(f"The kernel cannot be started: {error}.") from error
        # takes a while to load, in which the process starts on another core
        from clouditia_jupyter.platform.pod.channels import Channels

        self._process = process
        self._channels = Channels(process.address, process.key, self._on_messages)
        self._requests = Requests(self._channels)
        self._watcher = asyncio.create_task(self._watch(process))

    async def ready(self, setup: str | None = None) -> None:
        """Return when the process answers, has evaluated ``setup``, and takes up runs.

        Raises
        ------
        SessionLostError
            If it ends or stays silent instead; with the last line it wrote.
        """
        try:
            answer = self._to_process.send("control", "kernel_info_request", {})
            await asyncio.wait_for(answer, _START_TIMEOUT)
            # what it says before it knows of its listener is lost
            await asyncio.wait_for(self._welcomed.wait(), _START_TIMEOUT)
            if self._channels is None:
                raise SessionLostError(self.death_note)
            if setup is not None:
                await asyncio.wait_for(self.evaluate(setup), _START_TIMEOUT)
        except (TimeoutError, asyncio.TimeoutError):
            words = self._process.last_words() if self._process is not None else ""
            await self.kill()
            raise SessionLostError(
                f"The kernel did not answer within {_START_TIMEOUT:.0f} s. {words}"
            ) from None
        self._ready = True
        self._next()

    def submit(self, run: Run) -> None:
        """Execute ``run`` when all earlier ones are over."""
        self._runs[run.run_id] = run
        self._queue.append(run)
        self._next()

    async def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, silently, between two runs.

        Its repr must be a Python literal. Raises SessionLostError if the kernel dies or the
        expression fails.
        """
        return await self._to_process.evaluate(expression)

    async def ask(
        self, question: str, content: dict[str, Any], seconds: float
    ) -> dict[str, Any] | None:
        """Return the kernel's answer to an editor's question; None if it is busy or not quick."""
        # one in which a cell said ``exit`` still answers for a moment, with names that are going
        if self.busy or not self._ready or not self._staying.is_set():
            return None
        try:
            return await asyncio.wait_for(
                self._to_process.send("shell", question, content), seconds
            )
        except (SessionLostError, TimeoutError, asyncio.TimeoutError):
            return None

    async def interrupt(self, run: Run) -> None:
        """Interrupt ``run`` if it is being executed; drop it if it is still queued."""
        if run in self._queue:
            self._queue.remove(run)
            run.lose("The run was cancelled before it began.")
        elif run is self._current:
            await run.begun.wait()  # before that, the kernel would ignore the signal
            if not run.over:
                signalled = self._process is not None and self._process.interrupt()
                told = {"signalled": signalled}
                await self._to_process.send("control", "interrupt_request", told)

    def answer(self, run: Run, request: int, value: str) -> None:
        """Send ``value`` to the code of ``run``, if event ``request`` is what it waits for now."""
        question = run.question
        if question is not None and question.is_open(request) and self._channels is not None:
            question.close()
            self._channels.send("stdin", "input_reply", {"status": "ok", "value": value})

    async def pass_on(
        self,
        msg_id: str,
        msg_type: str,
        content: dict[str, Any],
        *,
        metadata: dict[str, Any],
        buffers: Sequence[bytes],
        subshell: bool,
    ) -> None:
        """Send a front end's message to the kernel, once; what comes of it goes ``outside``.

        Parameters
        ----------
        subshell
            Whether the kernel handles it beside the run that it executes, or after it.

        Raises
        ------
        SessionLostError
            If there is no kernel.
        """
        beside = await self._to_process.subshell() if subshell else None
        if self._channels is None:
            raise SessionLostError(self.death_note or "The kernel is not running.")
        if self._outside is not None and self._outside.register(msg_id):
            self._channels.send(
                "shell",
                msg_type,
                content,
                msg_id,
                metadata=metadata,
                buffers=buffers,
                subshell=beside,
            )

    def forget_all_but(self, most: int) -> None:
        """Keep nothing of runs that are over, but for the last ones."""
        for run_id in list(self._runs)[:-most]:
            if self._runs[run_id].over:
                del self._runs[run_id]

    async def kill(self, reason: str = "The kernel was stopped; its variables are gone.") -> None:
        """End the process and everything that it started; queued runs are lost."""
        process, self._process = self._process, None
        self._staying.set()  # nothing comes after it
        if self._watcher is not None:
            self._watcher.cancel()
        if process is not None:
            process.end()
            await process.ended()
            process.remove_files()
        self._bury(reason)

    @property
    def _to_process(self) -> Requests:
        if self._requests is None:
            raise SessionLostError(self.death_note or "The kernel is not running.")
        return self._requests

    def _next(self) -> None:
        takes = self._ready and self._staying.is_set() and self._channels is not None
        if self._current is None and self._queue and takes:
            self._current = run = self._queue.popleft()
            run.begin(self._late)
            self._late = []
            if run.before is None:
                self._execute(run)
            else:
                self._preparation = asyncio.create_task(self._prepare(run, run.before))

    async def _prepare(self, run: Run, expression: str) -> None:
        try:
            answer = await self.evaluate(expression)
        except SessionLostError as error:
            answer = {"refused": str(error)}
        if run.over:  # its kernel is gone
            return
        if answer:
            run.refuse(str(answer["refused"]))
            self._follow(run)
        else:
            self._execute(run)

    def _execute(self, run: Run) -> None:
        assert self._channels is not None
        self._channels.send("shell", "execute_request", run.request(), run.run_id)

    def _on_messages(self, messages: list[Message]) -> None:
        by_run: dict[str, list[Message]] = {}
        for message in messages:
            if message.parent_id in self._runs or (
                self._outside is not None and self._outside.owns(message.parent_id)
            ):
                by_run.setdefault(message.parent_id, []).append(message)
            elif message.type == "iopub_welcome":
                self._welcomed.set()
                self._session = message.session
            elif message.type.endswith("_reply"):
                self._to_process.take(message)
        for run_id, own in by_run.items():
            run = self._runs.get(run_id)
            if run is None:
                assert self._outside is not None
                self._outside.take(run_id, self._unasked(own))
                continue
            if run.over:  # a thread that outlives its cell
                self._take_late(run, self._unasked(own))
                continue
            asks = run.asks or any(message.type == "input_request" for message in own)
            run.take(own)
            if run.over:
                if asks:  # a thread did, and would take the next cell's answer
                    self._end_input()
                self._follow(run)
            elif run.unanswered:
                # the reply is on another socket, normally microseconds away
                asyncio.get_running_loop().call_later(_REPLY_GRACE, self._settle, run)

    def _unasked(self, messages: list[Message]) -> list[Message]:
        """Return the messages without questions: outside of runs nobody is asked.

        To the code that is the end of input, rather than a wait without end; but while a run asks,
        the answer would be taken for the run's.
        """
        others = [message for message in messages if message.type != "input_request"]
        busy = self._current is not None and self._current.asks
        if len(others) < len(messages) and not busy:
            self._end_input()
        return others

    def _end_input(self) -> None:
        if self._channels is not None:
            self._channels.send("stdin", "input_reply", {"status": "ok", "value": END_OF_INPUT})

    def _take_late(self, run: Run, messages: list[Message]) -> None:
        outputs = run.outputs(messages)
        if outputs and self._outside is not None:
            outputs = self._outside.take_late(run.run_id, outputs)
        # what nobody listens for is shown by the cell that runs now or next, as nothing is lost
        if self._current is not None and not self._current.over:
            self._current.show(outputs)
        else:
            self._late += outputs

    def _settle(self, run: Run) -> None:
        run.give_up()
        self._follow(run)

    def _follow(self, run: Run) -> None:
        if run is self._current:
            self._current = None
            if run.exits:
                self._leave()
            self._next()

    def _leave(self) -> None:
        # it still takes up requests for a moment, and drops them in their midst
        self._staying.clear()
        if self._process is not None:
            asyncio.get_running_loop().call_later(_EXIT_SECONDS, self._process.end)

    async def _watch(self, process: KernelProcess) -> None:
        how = await process.ended()
        was_ready, self._ready = self._ready, False
        # what it printed last may still be on its way through the sockets
        await asyncio.sleep(0.05)
        reason = (
            f"The kernel {how}; its variables are gone. {process.last_words(_LAST_SECONDS)}".strip()
        )
        self._process = None
        process.remove_files()
        self._bury(reason)
        if was_ready and self._on_death is not None:
            self._on_death(reason)

    def lose_queue(self, reason: str) -> None:
        """Lose the runs that wait for a process: there will be none."""
        lost = list(self._queue)
        self._queue.clear()
        for run in lost:
            run.lose(reason)

    def _bury(self, reason: str) -> None:
        self.death_note = reason
        self._ready = False
        if self._channels is not None:
            self._channels.close()
            self._channels = None
        self._welcomed.set()  # who waits for it finds the channels closed
        if self._outside is not None:
            self._outside.lose(self._session)
        current, self._current = self._current, None
        if current is not None:
            current.lose(reason)
        if self._staying.is_set() or self._on_death is None:
            self.lose_queue(reason)
        self._staying.set()  # what waits for the end of this process is the next one's
        requests, self._requests = self._requests, None
        if requests is not None:
            requests.lose(reason)
