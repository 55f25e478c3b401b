"""When to look at the account again. Decisions only: nothing here waits or asks."""

from __future__ import annotations

from dataclasses import dataclass

#: Seconds: while something is under way, after a change, the growth from there, and the longest.
URGENT, FIRST, GROWTH, LONGEST = 0.3, 2.0, 1.4, 10.0
#: The same where one look is several requests to a service that is not ours.
FIRST_STOCK, LONGEST_STOCK = 5.0, 30.0
#: After a failure: the longest.
LONGEST_TROUBLE = 15.0
#: Where nobody has said for long that they still look: a laptop that sleeps says nothing.
ABANDONED = 60.0


@dataclass
class Pace:
    """Grows slower while nothing happens.

    Attributes
    ----------
    urgent
        Whether something is under way that somebody waits for: a session that is made or stopped.
    cheap
        Whether a look is one small request.
    """

    urgent: bool = False
    cheap: bool = True
    _pause: float = FIRST
    _failing: bool = False

    def saw(self, *, change: bool) -> None:
        """Take note of a look that worked."""
        if change or self._failing:
            self._pause = FIRST
        else:
            self._pause = min(self._pause * GROWTH, LONGEST)
        self._failing = False

    def failed(self) -> None:
        """Take note of one that did not."""
        self._pause = min(self._pause * GROWTH, LONGEST_TROUBLE) if self._failing else FIRST
        self._failing = True

    def hurry(self) -> None:
        """Begin anew: somebody has done something, or looks again."""
        self._pause = FIRST

    def seconds(self) -> float:
        """Return how long to wait for the next look."""
        if self.cheap:
            return URGENT if self.urgent and not self._failing else self._pause
        if self.urgent:
            return FIRST
        return min(self._pause * FIRST_STOCK / FIRST, LONGEST_STOCK)
