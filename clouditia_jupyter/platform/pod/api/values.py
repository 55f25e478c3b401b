"""Variables into the kernel and out of it, as bytes beside the code."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from clouditia_jupyter.platform.pod.api.exchange import ok, read_json
from clouditia_jupyter.platform.pod.pod import Pod

_FORMAT = "X-Clouditia-Format"


class ValueCalls:
    """The variables of one pod's kernel."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def put_value(self, request: Request) -> Response:
        with tempfile.NamedTemporaryFile(dir=self._pod.sandbox.runtime) as file:
            async for chunk in request.stream():
                file.write(chunk)
            file.flush()
            fmt = request.headers.get(_FORMAT, "json")
            await self._pod.put_value(request.path_params["name"], fmt, Path(file.name))
        return ok()

    async def fetch_value(self, request: Request) -> Response:
        body = await read_json(request)
        with tempfile.NamedTemporaryFile(dir=self._pod.sandbox.runtime, delete=False) as file:
            path = Path(file.name)
        try:
            fmt = await self._pod.get_value(
                str(body.get("name", "")), path, allow_pickle=bool(body.get("allow_pickle"))
            )
            open_file = path.open("rb")
        finally:
            path.unlink()  # an open file stays readable
        size = open_file.seek(0, 2)
        open_file.seek(0)
        headers = {_FORMAT: fmt, "Content-Length": str(size)}
        return StreamingResponse(
            _chunks(open_file), headers=headers, media_type="application/octet-stream"
        )

    async def look_up(self, request: Request) -> Response:
        body = await read_json(request)
        names = [str(name) for name in body.get("names") or ()]
        modules = {str(name): str(module) for name, module in (body.get("modules") or {}).items()}
        return ok(**await self._pod.look_up(names, modules))

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        return [
            Route("/api/values/{name}", self.put_value, methods=["PUT"]),
            Route("/api/values/fetch/", self.fetch_value, methods=["POST"]),
            Route("/api/names/", self.look_up, methods=["POST"]),
        ]


async def _chunks(file: Any) -> AsyncIterator[bytes]:
    with file:
        while chunk := file.read(1 << 20):
            yield chunk
