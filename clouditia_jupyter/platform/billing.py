"""What a session costs at a moment, and the moment at which a limit stops it. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from clouditia_jupyter.platform.money import cost_of, time_for


class Due(NamedTuple):
    """The moment at which sessions have to stop, and the ``stop_reason`` they stop with."""

    at: datetime
    reason: str
    session_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """The money side of one session.

    Attributes
    ----------
    rate
        Micro-euros per hour since ``rate_since``.
    accrued
        Micro-euros up to ``rate_since``; of an ended session, what it cost in all.
    rate_since
        When the present rate began: a GPU added later changes the rate from then on.
    cost_limit, duration_limit
        Micro-euros and seconds; None is no limit.
    """

    session_id: str
    rate: int
    accrued: int
    rate_since: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    cost_limit: int | None
    duration_limit: int | None

    def cost(self, at: datetime) -> int:
        """Return the micro-euros that the session has cost at ``at``, never above its limit."""
        cost = self.uncapped(at)
        return cost if self.cost_limit is None else min(cost, self.cost_limit)

    def uncapped(self, at: datetime) -> int:
        """Return what the elapsed time costs, limit or not."""
        if self.rate_since is None or self.ended_at is not None:
            return self.accrued
        return self.accrued + cost_of(self.rate, max(at - self.rate_since, timedelta()))

    def duration(self, at: datetime) -> timedelta:
        """Return how long the session has been running, or ran."""
        if self.started_at is None:
            return timedelta()
        return max((self.ended_at or at) - self.started_at, timedelta())

    def due(self) -> Due | None:
        """Return when the session's own limits stop it; None if they never do."""
        if self.started_at is None or self.rate_since is None or self.ended_at is not None:
            return None
        dues = []
        if self.duration_limit is not None:
            at = self.started_at + timedelta(seconds=self.duration_limit)
            dues.append(Due(at, "duration_limit", (self.session_id,)))
        if self.cost_limit is not None and self.rate:
            at = self.rate_since + time_for(self.cost_limit - self.accrued, self.rate)
            dues.append(Due(at, "cost_limit", (self.session_id,)))
        return min(dues, default=None)


def credit_due(meters: Sequence[Meter], credit: int, at: datetime) -> Due | None:
    """Return when the running ``meters`` have used up ``credit`` micro-euros together.

    Parameters
    ----------
    credit
        Grants less charges: what the running sessions have not been charged yet is still in it.
    at
        Any moment; the answer does not depend on it beyond rounding.
    """
    running = [meter for meter in meters if meter.rate_since is not None and meter.ended_at is None]
    rate = sum(meter.rate for meter in running)
    if not rate:
        return None
    left = credit - sum(meter.uncapped(at) for meter in running)
    # each cost is rounded down, so the sum can lag by less than one micro-euro a session
    moment = at + time_for(left + len(running) - 1, rate)
    return Due(moment, "credit", tuple(meter.session_id for meter in running))


def next_due(meters: Sequence[Meter], credit: int, at: datetime) -> Due | None:
    """Return the first stop that limits or credit will bring about; None if there is none."""
    dues: Iterable[Due | None] = [
        *(meter.due() for meter in meters),
        credit_due(meters, credit, at),
    ]
    return min((due for due in dues if due is not None), default=None)
