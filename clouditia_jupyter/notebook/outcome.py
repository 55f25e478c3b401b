"""What becomes of the local cell when the remote run did not end well."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from clouditia_jupyter.errors import (
    AuthenticationError,
    ClouditiaError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    RemoteError,
    SessionLostError,
    SessionStateError,
    ValueTransferError,
    WaitTimeoutError,
    remote_error,
)
from clouditia_jupyter.notebook.failure import Failure, Interrupted
from clouditia_jupyter.notebook.output import say
from clouditia_jupyter.notebook.resolve import label
from clouditia_jupyter.notebook.wording import money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clouditia_jupyter.models import GPUSession
    from clouditia_jupyter.notebook.connection import Connection
    from clouditia_jupyter.notebook.follow import Ending
    from clouditia_jupyter.notebook.render import Renderer

#: What comes of a session that was stopped elsewhere, whose key was revoked, or whose platform
#: came back at another port.
GONE = (
    AuthenticationError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    SessionStateError,
)


@contextmanager
def explained(connection: Connection, session: GPUSession) -> Iterator[None]:
    """Where the session does not answer any more, say what became of it rather than that."""
    try:
        yield
    except GONE:
        connection.forget(session.id)
        connection.live(session.id)  # raises that, if it is no more
        raise


def require_success(
    connection: Connection, session: GPUSession, ending: Ending, renderer: Renderer
) -> None:
    """Fail the local cell as the run did; do nothing where it ended well.

    Raises
    ------
    RemoteError
        What the code raised, under its own name.
    ValueTransferError
        If the session could not take what went along.
    KeyboardInterrupt
        If the user interrupted it.
    WaitTimeoutError
        If it went past a limit.
    SessionLostError
        If the kernel in the session went away.
    """
    if ending.well:
        return
    if ending.past:
        if ending.error:
            say("\n".join(ending.error.get("traceback") or ()))
        for event in ending.behind:
            renderer.show(event)
    elif ending.interrupted and ending.killed:
        say(killed(session))
    error = cause(connection, session, ending)
    if isinstance(error, (RemoteError, Interrupted)):
        error = Failure(error, ending, renderer).error
    raise error


def cause(
    connection: Connection, session: GPUSession, ending: Ending
) -> RemoteError | Interrupted | ClouditiaError:
    """Return the exception that stands for how a run ended; see :func:`require_success`."""
    error = ending.error
    trace = list(error.get("traceback") or ())
    if ending.past:
        did = "it was interrupted"
        if ending.killed:
            did = "its kernel was killed, and its variables are gone"
        return WaitTimeoutError(
            f"The cell {ending.past}, so {did}. {_billing(connection, session)}"
        )
    if ending.interrupted:
        return Interrupted(trace)
    if ending.refused:
        return ValueTransferError(str(error.get("evalue")))
    if ending.status == "error":
        return remote_error(error.get("ename", ""), error.get("evalue", ""), trace)
    connection.forget(session.id)
    reason = error.get("evalue") or "The kernel died; its variables are gone."
    return SessionLostError(
        f"The cell was lost in session {label(session)}: {reason} {_billing(connection, session)}"
    )


def killed(session: GPUSession) -> str:
    """Return what is said of a kernel that a second interrupt killed."""
    return f"The kernel of session {label(session)} was killed: its variables are gone."


def _billing(connection: Connection, session: GPUSession) -> str:
    try:
        now = connection.open().get_session(session.id)
    except ClouditiaError:
        return f"Whether session {label(session)} still bills is not known: %clouditia status."
    if now.status != "running":
        why = f" ({now.stop_reason})" if now.stop_reason else ""
        return f"Session {label(now)} is {now.status}{why}."
    rate = "" if now.hourly_rate is None else f" at {money(now.hourly_rate)} per hour"
    return f"Session {label(now)} runs on and bills{rate}: %clouditia stop ends it."
