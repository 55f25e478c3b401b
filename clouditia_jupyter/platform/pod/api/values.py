"""Variables into the kernel and out of it, as parcels of bytes beside the code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from clouditia_jupyter.errors import InvalidRequestError, SessionLostError
from clouditia_jupyter.platform.envelope import envelope
from clouditia_jupyter.platform.pod.api.exchange import ok, read_json
from clouditia_jupyter.platform.pod.api.runs import disconnected
from clouditia_jupyter.platform.pod.data_port import DataPort
from clouditia_jupyter.platform.pod.parcels import no_room
from clouditia_jupyter.platform.pod.pod import Pod
from clouditia_jupyter.values import handover

#: Sockets take no more at once, and larger pieces would be copied once more for what is left.
_CHUNK = 1 << 16
#: A proxy cuts an answer that is silent for long; spaces before JSON mean nothing.
_HEARTBEAT_SECONDS = 15.0


class ValueCalls:
    """The variables of one pod's kernel, and the parcels on their way."""

    def __init__(self, pod: Pod, token: str) -> None:
        self._pod = pod
        self._token = token
        self._port: DataPort | None = None

    async def put_parcel(self, request: Request) -> Response:
        fd = handover.memory()
        try:
            async for chunk in request.stream():
                handover.write(fd, [chunk])
            handover.seal(fd)
        except BaseException as error:
            os.close(fd)
            if isinstance(error, ClientDisconnect):
                return ok()  # nobody hears it
            if isinstance(error, OSError):
                raise no_room(error) from error
            raise
        self._pod.parcels.add(request.path_params["parcel"], fd)
        return ok()

    async def get_parcel(self, request: Request) -> Response:
        parcel = request.path_params["parcel"]
        size = os.fstat(self._pod.parcels.find(parcel)).st_size
        return StreamingResponse(
            self._chunks(parcel, size),
            headers={"Content-Length": str(size)},
            media_type="application/octet-stream",
        )

    async def _chunks(self, parcel: str, size: int) -> AsyncIterator[bytes]:
        with self._pod.parcels.held(parcel):
            fd = self._pod.parcels.find(parcel)
            for position in range(0, size, _CHUNK):
                yield os.pread(fd, _CHUNK, position)

    async def bind(self, request: Request) -> Response:
        body = await read_json(request)
        return await _patiently(request, self._pod.put_values(str(body.get("parcel", ""))))

    async def fetch(self, request: Request) -> Response:
        body = await read_json(request)
        names = [str(name) for name in body.get("names") or ()]
        allow_pickle = bool(body.get("allow_pickle"))
        work = self._pod.get_values(names, str(body.get("parcel", "")), allow_pickle=allow_pickle)
        return await _patiently(request, work)

    async def counter(self, request: Request) -> Response:
        # started for the first who asks: most sessions' clients need none
        if self._port is None:
            self._port = DataPort(self._pod.parcels, self._token)
            self._pod.parcels.closing(self._port.close)
        return ok(path=str(self._pod.parcels.path), port=self._port.number)

    async def look_up(self, request: Request) -> Response:
        body = await read_json(request)
        names = [str(name) for name in body.get("names") or ()]
        modules = {str(name): str(module) for name, module in (body.get("modules") or {}).items()}
        return await _patiently(request, self._pod.look_up(names, modules))

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        return [
            Route("/api/parcels/{parcel}", self.put_parcel, methods=["PUT"]),
            Route("/api/parcels/{parcel}", self.get_parcel, methods=["GET"]),
            Route("/api/values/", self.bind, methods=["POST"]),
            Route("/api/values/fetch/", self.fetch, methods=["POST"]),
            Route("/pod/counter/", self.counter, methods=["GET"]),
            Route("/api/names/", self.look_up, methods=["POST"]),
        ]


async def _patiently(request: Request, work: Coroutine[Any, Any, dict[str, str]]) -> Response:
    """Answer with what comes of ``work``, which waits for the cell that runs, maybe for days.

    It is given up where nobody waits for it any more.
    """
    task = asyncio.create_task(work)
    gone = asyncio.create_task(disconnected(request.receive))
    try:
        await asyncio.wait(
            (task, gone), timeout=_HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        if task.done():
            return ok(**task.result())
        if not gone.done():
            return StreamingResponse(_late_answer(task), media_type="application/json")
        task.cancel()
        return ok()
    finally:
        gone.cancel()


async def _late_answer(task: asyncio.Task[dict[str, str]]) -> AsyncIterator[bytes]:
    try:
        while not (await asyncio.wait((task,), timeout=_HEARTBEAT_SECONDS))[0]:
            yield b" "
        try:
            answer = ok(**task.result())
        except SessionLostError as error:
            answer = envelope(InvalidRequestError(str(error)))
        yield bytes(answer.body)
    finally:
        task.cancel()
