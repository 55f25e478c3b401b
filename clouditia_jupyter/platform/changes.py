"""Tells whoever waits for a session that something about it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

T = TypeVar("T")


class Changes:
    """A bell for each session."""

    def __init__(self) -> None:
        self._bells: dict[str, tuple[asyncio.Event, int]] = {}
        self._closed = False

    def notify(self, session_id: str) -> None:
        """Wake everybody who waits for this session."""
        bell = self._bells.pop(session_id, None)
        if bell is not None:
            bell[0].set()

    def close(self) -> None:
        """Wake everybody, and let nobody wait again: the platform is leaving."""
        self._closed = True
        for session_id in list(self._bells):
            self.notify(session_id)

    async def wait_while(
        self,
        session_id: str,
        read: Callable[[], Awaitable[T]],
        same: Callable[[T], Hashable],
        seen: Hashable,
        seconds: float,
    ) -> T:
        """Return ``read()`` once ``same`` of it is not ``seen``, at the latest in ``seconds``.

        Parameters
        ----------
        seconds
            Real ones: it is a caller that waits, not a session.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            bell = self._enter(session_id)
            try:
                value = await read()  # after taking the bell: a change in between rings it
                left = deadline - loop.time()
                if same(value) != seen or left <= 0 or self._closed:
                    return value
                try:
                    await asyncio.wait_for(bell.wait(), left)
                except asyncio.TimeoutError:
                    return value
            finally:
                self._leave(session_id, bell)

    def _enter(self, session_id: str) -> asyncio.Event:
        bell, waiting = self._bells.get(session_id, (asyncio.Event(), 0))
        self._bells[session_id] = (bell, waiting + 1)
        return bell

    def _leave(self, session_id: str, bell: asyncio.Event) -> None:
        held, waiting = self._bells.get(session_id, (None, 0))
        if held is bell:
            if waiting > 1:
                self._bells[session_id] = (bell, waiting - 1)
            else:
                del self._bells[session_id]
