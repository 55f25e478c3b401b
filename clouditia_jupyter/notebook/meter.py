"""What a session costs, reckoned here from what the service said of it once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clouditia_jupyter.errors import UnsupportedError

if TYPE_CHECKING:
    from clouditia_jupyter.models import GPUSession, SessionCost


@dataclass(frozen=True)
class Meter:
    """The price of a session, and what it had cost at a moment.

    The moment is this machine's, so that a platform whose clock differs is read rightly too.

    Attributes
    ----------
    per_hour
        EUR for each hour of this machine's clock; None where the service does not say.
    spent, at
        EUR so far, at the time ``at`` of this machine's clock; None likewise.
    """

    per_hour: float | None = None
    spent: float | None = None
    at: float = 0.0

    @classmethod
    def of_session(cls, session: GPUSession) -> Meter:
        """Return the meter of a session that the service has just described."""
        rate = None if session.hourly_rate is None else session.hourly_rate * session.clock_rate
        return cls(rate, session.cost, time.time())

    @classmethod
    def of_cost(cls, cost: SessionCost) -> Meter:
        """Return the meter of a session whose cost the service has just told."""
        return cls(cost["hourly_rate"], cost["cost"], time.time())

    def cost_of(self, seconds: float) -> float | None:
        """Return the EUR that so many seconds cost."""
        return None if self.per_hour is None else self.per_hour * seconds / 3600

    def so_far(self) -> float | None:
        """Return the EUR that the session has cost by now, without asking anybody."""
        # time.time, not time.monotonic: a session bills while this machine sleeps
        since = self.cost_of(max(time.time() - self.at, 0.0))
        return None if self.spent is None or since is None else self.spent + since

    def seconds_for(self, euros: float) -> float:
        """Return how many seconds cost so much; infinity where it costs nothing.

        Raises
        ------
        UnsupportedError
            If the price is not known.
        """
        if self.per_hour is None:
            raise UnsupportedError(
                "The service does not say what this session costs, so --max-cost cannot be kept: "
                "use --timeout."
            )
        return euros / self.per_hour * 3600 if self.per_hour else float("inf")
