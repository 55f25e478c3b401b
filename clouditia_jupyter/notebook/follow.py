"""Follow a run to its end: show what it gives, and stop it when the user or a limit says so.

The interrupt contract: the first interrupt is passed on to the run, and what it still gives is
shown; a second one kills the kernel there, and its variables with it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.errors import ClouditiaError, JobNotFoundError
from clouditia_jupyter.notebook.asking import ask
from clouditia_jupyter.notebook.output import say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.notebook.render import Renderer

#: Seconds that a run which went past its limit has to heed the interrupt before it is killed.
GRACE = 10.0


@dataclass
class Ending:
    """How a run ended.

    Attributes
    ----------
    status
        ``ok``, ``error`` or ``lost``.
    seconds
        How long it ran.
    error
        ``ename``, ``evalue`` and ``traceback`` where it raised.
    interrupted, expired, killed
        Whether the user interrupted it, its time was up, and its kernel was killed for that.
    """

    status: str = "lost"
    seconds: float = 0.0
    error: dict[str, Any] = field(default_factory=dict)
    interrupted: bool = False
    expired: bool = False
    killed: bool = False


def follow(
    stream: EventStream, renderer: Renderer, live: LiveSession, limit: float | None = None
) -> Ending:
    """Show a run's events until it is done, and return how it ended.

    Parameters
    ----------
    limit
        Seconds after which to interrupt it by ourselves.
    """
    ending = Ending()
    if limit is None:
        _show_all(stream, renderer, live, ending)
    else:
        with _stopped_after(limit, stream, live, ending):
            _show_all(stream, renderer, live, ending)
    return ending


def _show_all(stream: EventStream, renderer: Renderer, live: LiveSession, ending: Ending) -> None:
    interrupts = passed_on = 0
    while True:
        try:
            if interrupts > passed_on:
                passed_on = interrupts
                ending.interrupted = True
                if interrupts > 1:
                    live.restart_kernel()
                    ending.killed = True
                    return
                say("Interrupting the session; interrupt again to kill its kernel.")
                with suppress(JobNotFoundError):  # it has just ended
                    stream.interrupt()
            # after an interrupt this goes on behind the last event that came
            for event in stream:
                if event.type == "error":
                    ending.error = event.content
                elif event.type == "done":
                    ending.status = event.content.get("status", "lost")
                    ending.seconds = float(event.content.get("seconds") or 0.0)
                elif event.type == "input_request":
                    ask(stream, event)
                else:
                    renderer.show(event)
            return
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts > 3:  # killing it hangs too: let the user go
                raise


@contextmanager
def _stopped_after(
    limit: float, stream: EventStream, live: LiveSession, ending: Ending
) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        if over.wait(limit):
            return
        try:
            stream.interrupt()
            ending.expired = True
            if not over.wait(GRACE):
                live.restart_kernel()
                ending.killed = True
        except ClouditiaError as error:
            say(f"The time limit could not be kept: {error}")

    watcher = threading.Thread(target=watch, name="clouditia-limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
