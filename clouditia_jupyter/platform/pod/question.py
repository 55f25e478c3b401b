"""A question that a run's code asks its user, through ``input()`` and the like."""

from __future__ import annotations

import asyncio
import contextlib

#: The answer by which ``input()`` is told that there will be none.
END_OF_INPUT = "\x04"


class Question:
    """The run's event number ``request``, which waits for an answer until it is closed."""

    def __init__(self, request: int) -> None:
        self._request = request
        self._closed = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether nobody has answered it."""
        return not self._closed.is_set()

    def is_open(self, request: int) -> bool:
        """Return whether it is that event, and nobody has answered it."""
        return request == self._request and self.open

    def close(self) -> None:
        """Note that it was answered, or that its run is over."""
        self._closed.set()

    async def closed(self, seconds: float) -> None:
        """Return once it is closed, at the latest after so many seconds."""
        with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
            await asyncio.wait_for(self._closed.wait(), seconds)
