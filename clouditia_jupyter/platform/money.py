"""Money is counted in whole micro-euros, so that sums are exact; the wire carries EUR as floats."""

from __future__ import annotations

from datetime import timedelta

MICRO = 1_000_000
_HOUR = 3_600_000_000  # microseconds
_LONGEST = 1000 * 365 * 24 * _HOUR
_MICROSECOND = timedelta(microseconds=1)


def to_micro(eur: float) -> int:
    """Return EUR as micro-euros, to the nearest."""
    return round(eur * MICRO)


def to_eur(micro: int) -> float:
    """Return micro-euros as EUR."""
    return micro / MICRO


def cost_of(rate: int, elapsed: timedelta) -> int:
    """Return what ``elapsed`` costs at ``rate`` micro-euros an hour, rounded down."""
    return rate * (elapsed // _MICROSECOND) // _HOUR


def time_for(amount: int, rate: int) -> timedelta:
    """Return the shortest time in which ``rate`` costs ``amount``; negative amounts look back.

    At most a thousand years: a date further off cannot be written down.
    """
    microseconds = -(-amount * _HOUR // rate)
    return timedelta(microseconds=max(-_LONGEST, min(microseconds, _LONGEST)))
