"""The platform's clock: real time, or faster for demonstrations and tests.

Everything that bills or waits for a limit takes a :class:`Clock`. Simulated time goes on
without a gap across restarts: the store keeps the pair of moments at which the present rate
began, and time since then runs at that rate, whether the platform was up or down.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Protocol

from sqlalchemy import Connection, insert, select, update

from clouditia_jupyter.platform.store import schema

#: The longest single sleep, so that a clock set forward by hand is noticed.
_NAP = 60.0


class Clock(Protocol):
    """What tells the time, and waits for a moment of it."""

    def now(self) -> datetime:
        """Return the present moment, in UTC."""
        ...

    async def sleep_until(self, when: datetime) -> None:
        """Return once ``now() >= when``."""
        ...

    def seconds_until(self, when: datetime) -> float:
        """Return how many real seconds it is to a moment; 0 if it has passed."""
        ...


@dataclass(frozen=True, slots=True)
class Anchor:
    """The moment at which simulated and real time were set in step, and the rate from there."""

    simulated: datetime
    real: datetime
    rate: float

    def at(self, real: datetime) -> datetime:
        """Return the simulated moment of a real one."""
        return self.simulated + max(real - self.real, timedelta()) * self.rate


class PlatformClock:
    """A clock that runs ``rate`` simulated seconds per real second from an anchor."""

    def __init__(self, anchor: Anchor) -> None:
        self._anchor = anchor
        self._last = anchor.simulated

    def now(self) -> datetime:
        """Return the present simulated moment; it never goes back."""
        self._last = max(self._last, self._anchor.at(_real_now()))
        return self._last

    async def sleep_until(self, when: datetime) -> None:
        """Return once ``now() >= when``."""
        while (left := self.seconds_until(when)) > 0:
            await asyncio.sleep(min(left, _NAP))

    def seconds_until(self, when: datetime) -> float:
        """Return how many real seconds it is to a moment; 0 if it has passed."""
        return max(0.0, (when - self.now()).total_seconds() / self._anchor.rate)


def _real_now() -> datetime:
    return datetime.fromtimestamp(time.time(), timezone.utc)


def load_anchor(connection: Connection, rate: float | None = None) -> Anchor:
    """Return the stored anchor; a new ``rate`` begins at the moment reached by the old one."""
    real = _real_now()
    row = connection.execute(select(schema.clock)).one_or_none()
    if row is None:
        anchor = Anchor(real, real, rate or 1.0)
        connection.execute(insert(schema.clock).values(id=1, **_values(anchor)))
        return anchor
    stored = Anchor(row.simulated, row.real, row.rate)
    if rate in (None, stored.rate):
        return stored
    anchor = Anchor(stored.at(real), real, rate or stored.rate)
    connection.execute(update(schema.clock).values(**_values(anchor)))
    return anchor


def _values(anchor: Anchor) -> dict[str, object]:
    return {"simulated": anchor.simulated, "real": anchor.real, "rate": anchor.rate}
