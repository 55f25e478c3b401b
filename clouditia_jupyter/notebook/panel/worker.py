"""The panel's one thread: it does what was clicked, and looks at the account in between."""

from __future__ import annotations

import atexit
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextvars import ContextVar
from typing import Any, TypeVar

from clouditia_jupyter.errors import WaitTimeoutError

_log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[], Any]


class Worker:
    """Runs jobs in order, and ``look`` whenever it is due.

    Parameters
    ----------
    kernel
        Of the notebook; None in a terminal. What the worker sends belongs to none of its cells.
    look
        Called on the worker's thread.
    pause
        Returns the seconds until the next look, None for not before the next job.
    """

    def __init__(self, kernel: Any, look: Job, pause: Callable[[], float | None]) -> None:
        self._kernel = kernel
        self._look = look
        self._pause = pause
        # each with whether to look afterwards
        self._jobs: queue.SimpleQueue[tuple[Job, bool]] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="clouditia-panel", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def do(self, job: Job) -> None:
        """Run ``job`` on the worker's thread, then look; from any thread, at once."""
        self._jobs.put((job, True))

    def wake(self) -> None:
        """Ask anew how long to wait for the next look."""
        self._jobs.put((_nothing, False))

    def ask(self, job: Callable[[], T], seconds: float | None = None) -> T:
        """Return what ``job`` returns on the worker's thread, or raise what it raises.

        Raises
        ------
        WaitTimeoutError
            If its turn has not come, or it has not ended, after so many seconds.
        """
        answer: Future[T] = Future()

        def answering() -> None:
            try:
                answer.set_result(job())
            except BaseException as error:
                answer.set_exception(error)

        self._jobs.put((answering, False))
        try:
            return answer.result(seconds)
        except NotInTime:
            if answer.done():  # the job's own
                raise
            raise WaitTimeoutError(
                f"The panel is busy with an earlier request for more than {seconds:g} s; try again."
            ) from None

    @property
    def is_alive(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive() and not self._closed

    def close(self, seconds: float = 0.0) -> None:
        """Stop, once what is under way has ended; wait so long for that."""
        atexit.unregister(self.close)
        self._closed = True
        self.wake()
        if seconds and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _run(self) -> None:
        _belong_to_no_cell(self._kernel)
        looked = time.monotonic()
        while not self._closed:
            pause = self._pause()
            left = None if pause is None else max(looked + pause - time.monotonic(), 0.0)
            try:
                job, then_look = self._jobs.get(timeout=left)
            except queue.Empty:
                job, then_look = _nothing, True
            if self._closed:
                return
            for one in (job, self._look) if then_look else (job,):
                try:
                    one()
                except Exception:  # the next click must find the worker alive
                    _log.exception("the panel could not do something")
            if then_look:
                looked = time.monotonic()


def _belong_to_no_cell(kernel: Any) -> None:
    """Let what this thread sends have no parent.

    ipykernel has a widget answered on the shell that its last message came from: a message that
    belonged to a cell would send every click to the main shell, behind the cell that runs there.
    """
    parent = getattr(kernel, "_shell_parent", None)
    if isinstance(parent, ContextVar):  # ipykernel 7; earlier ones have no other shell
        parent.set({})


def _nothing() -> None:
    pass
