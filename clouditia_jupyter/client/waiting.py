"""Waiting for a session to get where it is going, on a clock that tests can turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from clouditia_jupyter.errors import SessionNotFoundError, WaitTimeoutError
from clouditia_jupyter.models import GPUSession

#: The longest that one long poll may hold; the stock service's proxy cuts a request at 100 s.
LONG_POLL = 20.0
#: Pauses between polls where the service answers at once: first, growth, longest (seconds).
FIRST_PAUSE, PAUSE_GROWTH, LONGEST_PAUSE = 0.2, 1.6, 3.0
#: How long a session that was just made may be unknown to a service that is still storing it.
GRACE_FOR_UNKNOWN = 10.0


class Clock(Protocol):
    """What tells the time and sleeps; tests hand in one that does not really sleep."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return seconds since some fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Return after ``seconds``."""
        time.sleep(seconds)


def progress_mark(session: GPUSession) -> str:
    """Return ``STATUS:STEP``, what a long poll compares with what the client has seen."""
    return f"{session.status}:{session.creation_step}"


class Backoff:
    """Growing pauses between polls, started anew by each change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pause = FIRST_PAUSE

    def restart(self) -> None:
        """Make the next pause the shortest again: something has just happened."""
        self._pause = FIRST_PAUSE

    def sleep(self, at_most: float) -> None:
        """Pause, and make the next pause longer."""
        self._clock.sleep(max(0.0, min(self._pause, at_most)))
        self._pause = min(self._pause * PAUSE_GROWTH, LONGEST_PAUSE)


def wait_for_session(
    fetch: Callable[[float, str], GPUSession],
    reached: Callable[[GPUSession], bool],
    *,
    timeout: float,
    clock: Clock,
    on_change: Callable[[GPUSession], None],
) -> GPUSession:
    """Return the session once ``reached`` says so.

    Parameters
    ----------
    fetch
        Called with the seconds that a long poll may hold and the progress mark last seen; returns
        the session. A service without long polls answers at once: then pauses lie between calls.
    reached
        True when the wait is over; raises when it can never be.
    timeout
        Seconds after which to give up.
    on_change
        Called with the session whenever its status or creation step has changed.

    Raises
    ------
    WaitTimeoutError
        With the last known progress mark as its text; the caller knows what to advise.
    SessionNotFoundError
        If the service still does not know the session after a while.
    """
    start = clock.monotonic()
    seen, backoff = "", Backoff(clock)
    while (remaining := start + timeout - clock.monotonic()) > 0:
        asked = clock.monotonic()
        # readiness is not part of the mark: a running session that is not ready is polled plainly
        hold = 0.0 if seen.startswith("running:") else min(LONG_POLL, remaining)
        try:
            session = fetch(hold, seen)
        except SessionNotFoundError:
            if seen or clock.monotonic() - start > GRACE_FOR_UNKNOWN:
                raise
            backoff.sleep(remaining)
            continue
        changed = (mark := progress_mark(session)) != seen
        if changed:
            seen = mark
            backoff.restart()
            on_change(session)
        if reached(session):
            return session
        held = clock.monotonic() - asked >= hold > 0
        if not changed and not held:
            backoff.sleep(start + timeout - clock.monotonic())
    raise WaitTimeoutError(seen)
