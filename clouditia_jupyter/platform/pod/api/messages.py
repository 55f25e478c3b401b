"""Widgets: messages from a front end to the kernel, and the session's events outside of runs."""

from __future__ import annotations

import asyncio
import base64
import binascii

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from clouditia_jupyter.errors import InvalidRequestError
from clouditia_jupyter.platform.pod.api.exchange import ok, query_number, read_json
from clouditia_jupyter.platform.pod.api.runs import EventsResponse, disconnected
from clouditia_jupyter.platform.pod.comms import COMMS
from clouditia_jupyter.platform.pod.outside import Outside
from clouditia_jupyter.platform.pod.pod import Pod


class FollowedResponse(EventsResponse):
    """Streams the session's events outside of runs, and counts as a listener meanwhile."""

    def __init__(self, outside: Outside, after: int) -> None:
        super().__init__(outside.log, after)
        self._outside = outside
        # where what has happened already ends
        self._head = [*self._head, (b"x-clouditia-events", b"%d" % len(outside.log))]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # that the listener is gone has to be known at once: what comes then is kept for others
        with self._outside.listening():
            tasks = [
                asyncio.create_task(super().__call__(scope, receive, send)),
                asyncio.create_task(disconnected(receive)),
            ]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()


class MessageCalls:
    """The widgets of one pod's kernel."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def send(self, request: Request) -> Response:
        body = await read_json(request)
        msg_id, kind = str(body.get("msg_id", "")), str(body.get("type", ""))
        if not msg_id or kind not in COMMS:
            raise InvalidRequestError(f"A message has a msg_id and a type: {sorted(COMMS)}.")
        try:
            buffers = [base64.b64decode(text, validate=True) for text in body.get("buffers") or ()]
        except (binascii.Error, TypeError):
            raise InvalidRequestError("The buffers are not in base64.") from None
        await self._pod.kernel.pass_on(
            msg_id,
            kind,
            body.get("content") or {},
            metadata=body.get("metadata") or {},
            buffers=buffers,
            subshell=bool(body.get("subshell")),
        )
        return ok()

    async def events(self, request: Request) -> Response:
        return FollowedResponse(self._pod.outside, query_number(request, "after", 0))

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        return [
            Route("/api/messages/", self.send, methods=["POST"]),
            Route("/api/events/", self.events, methods=["GET"]),
        ]
