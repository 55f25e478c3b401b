"""Notices when nobody has asked for anything for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send


class Activity:
    """Requests under way, and when the last one ended."""

    def __init__(self) -> None:
        self._under_way = 0
        self._last = time.monotonic()

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Return ``app`` with its HTTP requests counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return await app(scope, receive, send)
            self._under_way += 1
            try:
                return await app(scope, receive, send)
            finally:
                self._under_way -= 1
                self._last = time.monotonic()

        return counted

    async def wait_until_idle(
        self, seconds: float, is_needed: Callable[[], Awaitable[bool]]
    ) -> None:
        """Return after so many real seconds without a request in which nothing was needed."""
        while True:
            left = self._last + seconds - time.monotonic()
            if left > 0:
                await asyncio.sleep(left)
            elif self._under_way or await is_needed():
                self._last = time.monotonic()
            else:
                return
