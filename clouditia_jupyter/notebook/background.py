"""Runs that nobody waits for: ``runs``, ``attach``, ``cancel`` and ``logs``.

A run belongs to its session, which keeps its output: any notebook that uses the account finds it,
however long after.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.error import UsageError

from clouditia_jupyter.errors import AuthenticationError, JobNotFoundError
from clouditia_jupyter.models import LIVE_STATUSES
from clouditia_jupyter.notebook import resolve
from clouditia_jupyter.notebook.failure import Interrupted
from clouditia_jupyter.notebook.follow import Ending, show_all
from clouditia_jupyter.notebook.outcome import explained, require_success
from clouditia_jupyter.notebook.output import say
from clouditia_jupyter.notebook.render import Renderer

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    import pandas as pd

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.models import GPUSession
    from clouditia_jupyter.notebook.actions import Context
    from clouditia_jupyter.notebook.connection import Connection

_UNFINISHED = ("queued", "running")


class Found(NamedTuple):
    """A run, and where it is: without a ``live`` session, where ended ones leave theirs."""

    session: GPUSession
    live: LiveSession | None
    run: dict[str, Any]

    @property
    def run_id(self) -> str:
        """Its full id."""
        return str(self.run["run_id"])

    @property
    def short(self) -> str:
        """As much of its id as is shown."""
        return self.run_id[:8]

    @property
    def unfinished(self) -> bool:
        """Whether it waits or runs."""
        return self.run["status"] in _UNFINISHED

    @property
    def began(self) -> float:
        """When it began, in Unix time: one that waits will later than all, one cancelled never."""
        return inf if self.run["status"] == "queued" else self.run["started_at"] or 0.0


def runs(context: Context, arguments: Namespace) -> pd.DataFrame:
    """Return the runs of a session, or of all that are kept; the newest of each first."""
    from clouditia_jupyter.notebook import frames

    if arguments.all and arguments.session:
        raise UsageError("give --all or one session, not both")
    connection = context.connection
    if arguments.all:
        known = [*_in(connection, _running(connection)), *_ended(connection)]
    else:
        known = _of(connection, connection.session(arguments.session))
    return frames.runs(
        (found.session, connection.meter(found.session), found.run) for found in known
    )


def attach(context: Context, arguments: Namespace) -> None:
    """Show a run from its first output on, to its end; fail as it fails.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupts: that only detaches, and says so.
    """
    found = _find(context.connection, arguments)
    ending, renderer = Ending(), Renderer(context.shell)
    stream = _events(context.connection, found)
    with stream, explained(context.connection, found.session):
        try:
            show_all(stream, renderer, ending)
        except KeyboardInterrupt:
            short = found.short
            say(
                f"Detached: run {short} goes on. %clouditia attach {short} shows it again, "
                f"%clouditia cancel {short} interrupts it."
            )
            raise Interrupted from None
        if found.live is not None:
            renderer.refresh(stream)
    require_success(context.connection, found.session, ending, renderer)


def cancel(context: Context, arguments: Namespace) -> None:
    """Interrupt a run, as Ctrl-C in its cell would."""
    found = _find(context.connection, arguments)
    if found.live is None or not found.unfinished:
        say(f"Run {found.short} has ended before ({found.run['status']}).")
    elif found.run["status"] == "running" and arguments.kill:
        found.live.restart_kernel()
        where = resolve.label(found.session)
        say(f"The kernel of session {where} was killed: its variables are gone.")
    else:
        found.live.attach(found.run_id).interrupt()
        if found.run["status"] == "queued":
            say(f"Run {found.short} will not begin.")
        else:
            say(f"Run {found.short} was interrupted; if it does not heed that, cancel it --kill.")


def logs(context: Context, arguments: Namespace) -> None:
    """Say what a run has printed so far, and its traceback if it failed."""
    found = _find(context.connection, arguments)
    text = "".join(_texts(context.connection, found))
    if arguments.tail is not None:
        text = "".join(text.splitlines(keepends=True)[-arguments.tail :])
    nothing = f"Run {found.short} has printed nothing ({found.run['status']})."
    say(text.removesuffix("\n") or nothing)


def _events(connection: Connection, found: Found) -> EventStream:
    if found.live is None:
        return connection.open().attach_ended(found.session, found.run_id)
    return found.live.attach(found.run_id)


def _texts(connection: Connection, found: Found) -> Iterator[str]:
    # the stream of a live one would wait for more; what there is now ends at a number that is known
    last = inf if found.live is None else int(found.run["events"])
    with _events(connection, found) as stream:
        for event in stream if last else ():
            if event.type == "stream":
                yield str(event.content["text"])
            elif event.type == "error":
                yield "\n".join(event.content.get("traceback") or ())
            if event.seq >= last:
                return


def _find(connection: Connection, arguments: Namespace) -> Found:
    """Return the run that is meant.

    It is looked for in the session that is named, else in the current one, else in all that are
    running; an id that the current one does not have, in the others too, and at last among what
    ended ones have left.
    """
    word = arguments.run
    if arguments.session is not None:
        return _choose(_of(connection, connection.session(arguments.session)), word)
    running = _running(connection)
    here = list(_in(connection, [s for s in running if s.id == connection.current]))
    if here:
        with suppress(JobNotFoundError):
            return _choose(here, word)
    others = [session for session in running if session.id != connection.current]
    known = [*here, *_in(connection, others)]
    if known:
        with suppress(JobNotFoundError):
            return _choose(known, word)
    return _choose([*known, *_ended(connection)], word)


def _choose(known: list[Found], word: str | None) -> Found:
    if word is not None:
        return resolve.run(known, word)
    if not known:
        raise JobNotFoundError("No run is kept; %%clouditia_run --bg begins one.")
    newest = sorted(known, key=lambda found: found.began, reverse=True)
    return next((found for found in newest if found.unfinished), newest[0])


def _of(connection: Connection, session: GPUSession) -> list[Found]:
    """Return the runs of one session, which may have ended."""
    if session.status in LIVE_STATUSES or "runs" not in connection.open().capabilities:
        return list(_in(connection, [session]))
    return [found for found in _ended(connection) if found.session.id == session.id]


def _ended(connection: Connection) -> Iterator[Found]:
    """Return the runs of sessions that have ended, as far as the service keeps them."""
    manager = connection.open()
    runs = manager.list_ended_runs()
    sessions = {session.id: session for session in manager.list_sessions()} if runs else {}
    for run in runs:
        if session := sessions.get(run["session_id"]):
            yield Found(session, None, run)


def _running(connection: Connection) -> list[GPUSession]:
    return connection.open().list_sessions(status="running")


def _in(connection: Connection, sessions: list[GPUSession]) -> Iterator[Found]:
    for session in sessions:
        _, live = connection.live(session.id)
        try:
            listed = live.runs()
        except AuthenticationError:  # its key was revoked: another is made
            connection.forget(session.id)
            _, live = connection.live(session.id)
            listed = live.runs()
        for run in listed:
            yield Found(session, live, run)
