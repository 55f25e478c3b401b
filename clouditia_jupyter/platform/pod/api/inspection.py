"""What an editor asks of a kernel while a person types: completions, and help on a name.

Answered at once or not at all: nobody waits for a completion, and no cell should wait behind one.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clouditia_jupyter.platform.pod.api.exchange import ok, read_json
from clouditia_jupyter.platform.pod.pod import Pod

_PATIENCE_SECONDS = 0.25


class InspectionCalls:
    """Questions to one pod's kernel about its names."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def complete(self, request: Request) -> Response:
        return await self._ask(request, "complete_request")

    async def inspect(self, request: Request) -> Response:
        return await self._ask(request, "inspect_request")

    async def _ask(self, request: Request, question: str) -> Response:
        body = await read_json(request)
        code = str(body.get("code", ""))
        content = {
            "code": code,
            "cursor_pos": int(body.get("cursor_pos", len(code))),
            "detail_level": int(body.get("detail_level", 0)),
        }
        answer = await self._pod.kernel.ask(question, content, _PATIENCE_SECONDS)
        return ok(answer=answer)

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        return [
            Route("/api/complete/", self.complete, methods=["POST"]),
            Route("/api/inspect/", self.inspect, methods=["POST"]),
        ]
