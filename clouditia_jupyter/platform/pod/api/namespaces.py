"""The protocol's persistent namespaces."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from clouditia_jupyter.platform.pod.api.exchange import ok, read_json
from clouditia_jupyter.platform.pod.pod import Pod


class NamespaceCalls:
    """The persistent namespaces of one pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def namespace_start(self, request: Request) -> Response:
        return ok(persistent_id=await self._pod.namespaces.start(self._pod.limits))

    async def namespace_exec(self, request: Request) -> Response:
        body = await read_json(request)
        answer = await self._pod.namespaces.execute(
            str(body.get("persistent_id", "")), str(body.get("code", "")), body.get("timeout")
        )
        return JSONResponse(answer)

    async def namespace_stop(self, request: Request) -> Response:
        await self._pod.namespaces.stop(str((await read_json(request)).get("persistent_id", "")))
        return ok()

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        return [
            Route("/api/session/start/", self.namespace_start, methods=["POST"]),
            Route("/api/session/exec/", self.namespace_exec, methods=["POST"]),
            Route("/api/session/stop/", self.namespace_stop, methods=["POST"]),
        ]
