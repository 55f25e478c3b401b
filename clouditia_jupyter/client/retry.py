"""Whether and when to send a request again: decisions only, nothing here sends or sleeps."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

#: A service that asks for more patience than this many seconds is reported, not waited for.
LONGEST_RETRY_AFTER = 60.0


class Failure(enum.Enum):
    """How an exchange failed, as far as sending it again is concerned."""

    HOPELESS = enum.auto()
    """It would fail the same way each time."""
    REFUSED = enum.auto()
    """No connection was made: the service cannot have acted."""
    UNANSWERED = enum.auto()
    """The request went out and no answer came: the service may have acted."""
    UNAVAILABLE = enum.auto()
    """502, 503, 504, 429 or a web page: something in between answered; it may have acted."""


@dataclass(frozen=True)
class RetryPolicy:
    """Pauses before each further try, in seconds, by kind of failure."""

    pauses: tuple[float, ...]
    refused: tuple[float, ...]

    def pause(
        self,
        failure: Failure,
        tries: int,
        *,
        idempotent: bool,
        retry_after: float | None = None,
    ) -> float | None:
        """Return the seconds to wait before the next try, or None to give up.

        Parameters
        ----------
        failure
            What happened to the last try.
        tries
            How many were made so far.
        idempotent
            Whether sending twice has the effect of sending once. Where it has not, only a
            request that cannot have arrived is sent again.
        retry_after
            What the service itself asks for, in seconds.
        """
        if failure is Failure.HOPELESS or not (idempotent or failure is Failure.REFUSED):
            return None
        pauses = self.refused if failure is Failure.REFUSED else self.pauses
        if tries > len(pauses) or (retry_after or 0.0) > LONGEST_RETRY_AFTER:
            return None
        return max(pauses[tries - 1], retry_after or 0.0)


#: Across the internet: the pauses that the stock service's own clients are known to use.
REMOTE = RetryPolicy(pauses=(2.0, 5.0, 10.0), refused=(2.0, 5.0, 10.0))
#: On this machine: a platform that restarts is back in a moment, and one that nobody has started
#: refuses at once and for good.
LOOPBACK = RetryPolicy(pauses=(0.2, 0.5, 1.0, 2.0, 5.0, 8.0), refused=(0.2, 0.5, 1.0))
NEVER = RetryPolicy(pauses=(), refused=())


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer's ``Retry-After`` asks for; None where it does not.

    A date is counted from the answer's own ``Date``, so that a wrong local clock does not matter.
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(value)
        sent = headers.get("date")
        now = parsedate_to_datetime(sent) if sent else datetime.now(timezone.utc)
        return max(0.0, (when - now).total_seconds())
    except (TypeError, ValueError):
        return None
