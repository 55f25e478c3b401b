"""Cell runs: begin one, follow it, interrupt it; the kernel that executes them."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from clouditia_jupyter.platform.pod.api.exchange import ok, query_number, read_json
from clouditia_jupyter.platform.pod.log import EventLog
from clouditia_jupyter.platform.pod.pod import Pod

_HEARTBEAT_SECONDS = 15.0
_NDJSON = [(b"content-type", b"application/x-ndjson"), (b"x-accel-buffering", b"no")]


class EventsResponse(Response):
    """Streams a log's events, one JSON line each, until it is closed.

    Empty lines keep the connection alive while it is silent. Written on the bare ASGI calls:
    this answer is what every cell waits for.
    """

    def __init__(self, log: EventLog, after: int = 0, offset: int = 0) -> None:
        self._log, self._after, self._offset = log, after, offset
        self._head = _NDJSON
        if offset:
            self._head = [*_NDJSON, (b"x-clouditia-offset", b"%d" % offset)]
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self._head})
        gone: asyncio.Task[Any] | None = None
        try:
            async for chunk in self._log.read(self._after, _HEARTBEAT_SECONDS, self._offset):
                await send(
                    {"type": "http.response.body", "body": chunk or b"\n", "more_body": True}
                )
                # only a silent run needs to find out whether anybody still listens
                if not chunk and gone is None:
                    gone = asyncio.create_task(disconnected(receive))
                if gone is not None and gone.done():
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if gone is not None:
                gone.cancel()


async def disconnected(receive: Receive) -> None:
    """Return when whoever asked has gone; the request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


class RunCalls:
    """The runs of one pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def run(self, request: Request) -> Response:
        body = await read_json(request)
        run = self._pod.run(
            str(body.get("code", "")),
            str(body.get("run_id") or ""),
            store_history=bool(body.get("store_history", True)),
            allow_stdin=bool(body.get("allow_stdin", False)),
            limit=float(body["limit"]) if body.get("limit") else None,
            parcel=str(body.get("parcel") or ""),
        )
        return EventsResponse(run.log)

    async def runs(self, request: Request) -> Response:
        return ok(runs=self._pod.summaries())

    async def events(self, request: Request) -> Response:
        run = self._pod.find_run(request.path_params["run_id"])
        after, offset = query_number(request, "after", 0), query_number(request, "offset", 0)
        return EventsResponse(run.log, after, offset)

    async def interrupt(self, request: Request) -> Response:
        await self._pod.kernel.interrupt(self._pod.find_run(request.path_params["run_id"]))
        return ok()

    async def restart(self, request: Request) -> Response:
        await self._pod.restart("The kernel was restarted; its variables are gone.")
        return ok()

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        return [
            Route("/api/runs/", self.run, methods=["POST"]),
            Route("/api/runs/", self.runs, methods=["GET"]),
            Route("/api/runs/{run_id}/events/", self.events, methods=["GET"]),
            Route("/api/runs/{run_id}/interrupt/", self.interrupt, methods=["POST"]),
            Route("/api/kernel/restart/", self.restart, methods=["POST"]),
        ]
