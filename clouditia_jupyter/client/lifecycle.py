"""Following one session: to where it is ready, and to where it is gone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from clouditia_jupyter.client import banners
from clouditia_jupyter.client.banners import Printer
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.client.waiting import wait_for_session
from clouditia_jupyter.errors import APIError, SessionNotFoundError, WaitTimeoutError
from clouditia_jupyter.models import GPUSession

_STATUS = "/api/computing/sessions/status/"
#: Where a session that was to become ready never will.
_ENDED = frozenset({"stopping", "stopped", "archived", "paused"})


class Lifecycle:
    """Reads sessions, and waits for them.

    Parameters
    ----------
    long_poll
        Whether the service holds a status request until something has changed.
    """

    def __init__(self, transport: Transport, *, long_poll: bool) -> None:
        self._transport = transport
        self._long_poll = long_poll

    def get(self, session_id: str, wait: float = 0.0, seen: str = "") -> GPUSession:
        """Return the session; with ``wait``, once it differs from ``seen`` or time is up."""
        params: dict[str, str] = {"session_id": session_id}
        if wait > 0 and seen and self._long_poll:
            params |= {"wait": f"{wait:g}", "seen": seen}
        answer = self._transport.call(
            "GET",
            _STATUS,
            params=params,
            timeout=self._transport.timeout + wait,
            missing=SessionNotFoundError,
        )
        return GPUSession.from_wire(answer.get("session") or {})

    def last_state(self, session: GPUSession) -> GPUSession:
        """Return the session as it is now: stopped where the service has forgotten it."""
        try:
            return self.get(session.id)
        except SessionNotFoundError:
            return dataclasses.replace(session, status="stopped", ready=False)

    def wait_ready(
        self,
        session: GPUSession,
        timeout: float,
        say: Printer,
        on_progress: Callable[[GPUSession], None] | None = None,
    ) -> GPUSession:
        """Return the session once it is ready.

        Raises
        ------
        APIError
            If it fails or ends instead; with the reason.
        WaitTimeoutError
            After ``timeout`` seconds.
        """
        short = session.short_id
        going_on = (
            f"It goes on, and bills: get_session('{short}') shows it, "
            f"stop_session('{short}') ends it."
        )
        say.part(f"Waiting for session {short} to be ready...")
        with _told(say, f"Session {short} was being made. {going_on}"):
            try:
                ready = wait_for_session(
                    lambda wait, seen: self.get(session.id, wait, seen),
                    _is_ready,
                    timeout=timeout,
                    clock=self._transport.clock,
                    on_change=on_progress or _nothing,
                )
            except WaitTimeoutError as error:
                say.line(" Timeout!")
                raise WaitTimeoutError(
                    f"Session {short} is not ready after {timeout:g} s (at {error}). {going_on}"
                ) from None
            except APIError:
                say.line(" Failed!")
                raise
        say.line(" Ready!")
        say.line(banners.session_ready(ready))
        return ready

    def wait_stopped(self, session: GPUSession, timeout: float, say: Printer) -> GPUSession:
        """Return the session once it is stopped; one that the service has forgotten is.

        Raises
        ------
        WaitTimeoutError
            After ``timeout`` seconds.
        """
        short = session.short_id
        known = session

        def fetch(wait: float, seen: str) -> GPUSession:
            nonlocal known
            try:
                known = self.get(session.id, wait, seen)
            except SessionNotFoundError:
                known = dataclasses.replace(known, status="stopped", ready=False)
            return known

        say.part("Waiting for pod termination...")
        with _told(say, f"Session {short} is being stopped; get_session('{short}') shows it."):
            try:
                stopped = wait_for_session(
                    fetch,
                    lambda now: now.status == "stopped",
                    timeout=timeout,
                    clock=self._transport.clock,
                    on_change=_nothing,
                )
            except WaitTimeoutError as error:
                say.line(" Timeout!")
                raise WaitTimeoutError(
                    f"Session {short} is not stopped after {timeout:g} s (at {error}), and may "
                    f"still bill. stop_session('{short}') tries again; "
                    f"get_session('{short}') shows it."
                ) from None
        say.line(" Done!")
        say.line(banners.session_stopped(stopped))
        return stopped


def _is_ready(session: GPUSession) -> bool:
    short = session.short_id
    if session.status == "failed" or session.creation_step == "error":
        reason = session.creation_error or "the service does not say why"
        raise APIError(f"Session {short} could not be made: {reason}. Create another.")
    if session.status in _ENDED:
        reason = f" ({session.stop_reason})" if session.stop_reason else ""
        raise APIError(
            f"Session {short} is {session.status}{reason} before it was ready. Create another."
        )
    return session.status == "running" and session.ready


def _nothing(session: GPUSession) -> None:
    pass


@contextmanager
def _told(say: Printer, where_it_stands: str) -> Iterator[None]:
    """Let nobody interrupt a wait without being told what goes on meanwhile."""
    try:
        yield
    except KeyboardInterrupt as error:
        say.line(f" Interrupted!\n{where_it_stands}")
        if hasattr(error, "add_note"):  # Python 3.11
            error.add_note(where_it_stands)
        elif not error.args:
            error.args = (where_it_stands,)
        raise
