"""Follow a run to its end: show what it gives, and stop it when the user or a limit says so.

The interrupt contract: the first interrupt is passed on to the run, and what it still gives is
shown; a second one kills the kernel there, and its variables with it.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from clouditia_jupyter.errors import ClouditiaError, JobNotFoundError
from clouditia_jupyter.models import Event
from clouditia_jupyter.notebook.asking import ask
from clouditia_jupyter.notebook.output import say
from clouditia_jupyter.notebook.render import COMMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.client.live import LiveSession

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
    shown
        Whether all that a local cell would show of that has been shown as it came.
    behind
        What came behind the error with which it ended, and is still to be shown.
    past
        The limit that it went past, in words; empty where it kept them all.
    refused
        Whether the code did not run, as the session could not take what went along.
    interrupted, killed
        Whether the user interrupted it, and whether its kernel was killed for that or a limit.
    """

    status: str = "lost"
    seconds: float = 0.0
    error: dict[str, Any] = field(default_factory=dict)
    shown: bool = True
    behind: list[Event] = field(default_factory=list)
    past: str = ""
    refused: bool = False
    interrupted: bool = False
    killed: bool = False

    @property
    def well(self) -> bool:
        """Whether it ran to its end, and nobody stopped it."""
        return self.status == "ok" and not self.interrupted and not self.past

    def note_error(self, content: dict[str, Any]) -> None:
        """Note a traceback, be it one after which the run goes on."""
        self.error, self.shown = content, not content.get("final")

    def show_held_back(self, renderer: Viewer) -> None:
        """Show a traceback after which the run went on, and what came behind it."""
        if not self.shown:
            self.behind.insert(0, Event(seq=0, type="error", content=self.error))
            self.shown = True
        while self.behind:
            renderer.show(self.behind[0])
            del self.behind[0]

    def note_done(self, content: dict[str, Any]) -> None:
        """Note what the last event says."""
        self.status = content.get("status", "lost")
        self.seconds = float(content.get("seconds") or 0.0)
        self.refused = bool(content.get("refused"))
        if self.shown and "ename" in content:
            self.error = {"ename": content["ename"], "evalue": content["evalue"]}


class Limit(NamedTuple):
    """What a cell may take.

    Attributes
    ----------
    seconds
        How long it may run.
    past
        What is said of one that went past it: ``ran longer than 30 s``.
    """

    seconds: float
    past: str


class Viewer(Protocol):
    """What shows the events of a run: a renderer, or what hands them to another thread."""

    def showing(self, stream: EventStream) -> AbstractContextManager[None]:
        """Take the events of this run meanwhile."""

    def show(self, event: Event) -> None:
        """Show one event."""

    def relay(self, event: Event, stream: EventStream) -> None:
        """Show what a widget's message changes."""


def follow(
    stream: EventStream,
    renderer: Viewer,
    live: LiveSession,
    limit: Limit | None = None,
    *,
    interrupted: bool = False,
) -> Ending:
    """Show a run's events until it is done, and return how it ended.

    Parameters
    ----------
    limit
        When to interrupt it by ourselves.
    interrupted
        Whether the user has done so already, and the run has not been told.
    """
    ending = Ending()
    if limit is None:
        _show_and_interrupt(stream, renderer, live, ending, int(interrupted))
    else:
        with _stopped_after(limit, stream, live, ending):
            _show_and_interrupt(stream, renderer, live, ending, int(interrupted))
    return ending


def show_all(stream: EventStream, renderer: Viewer, ending: Ending) -> None:
    """Show a run's events from where the stream is until it is done; note the end in ``ending``."""
    with renderer.showing(stream):
        for event in stream:
            if event.type == "error" and ending.shown:
                ending.note_error(event.content)
                if not ending.shown:
                    continue
            if event.type == "done":
                ending.note_done(event.content)
                if ending.status == "ok":
                    ending.show_held_back(renderer)
            elif event.type == "input_request":
                ask(stream, event)
            elif event.type in COMMS:
                renderer.relay(event, stream)
            elif ending.shown:
                renderer.show(event)
            else:
                # most often a figure: below the traceback, which IPython shows when this cell fails
                ending.behind.append(event)


def _show_and_interrupt(
    stream: EventStream, renderer: Viewer, live: LiveSession, ending: Ending, interrupts: int
) -> None:
    passed_on = 0
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
            show_all(stream, renderer, ending)
            return
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts > 3:  # killing it hangs too: let the user go
                raise


@contextmanager
def _stopped_after(
    limit: Limit, stream: EventStream, live: LiveSession, ending: Ending
) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        if over.wait(min(limit.seconds, threading.TIMEOUT_MAX)):
            return
        try:
            stream.interrupt()
            ending.past = limit.past
            if not over.wait(GRACE):
                live.restart_kernel()
                ending.killed = True
        except ClouditiaError as error:
            say(f"The limit could not be kept: {error}")

    watcher = threading.Thread(target=watch, name="clouditia-limit", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        # the limit may have come in the very moment in which the run ended by itself
        if ending.status == "ok" and ending.seconds < limit.seconds:
            ending.past = ""
