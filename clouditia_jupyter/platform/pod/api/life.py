"""The platform's own calls: give the pod its session, tell it news, look at it, end it."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clouditia_jupyter.platform.pod.api.exchange import ok, read_json
from clouditia_jupyter.platform.pod.limits import Limits
from clouditia_jupyter.platform.pod.pod import Pod


class LifeCalls:
    """The life of one pod; ``stop`` is called when the platform ends it."""

    def __init__(self, pod: Pod, stop: Callable[[], None]) -> None:
        self._pod = pod
        self._stop = stop

    async def assign(self, request: Request) -> Response:
        body = await read_json(request)
        limits = Limits.of(
            body["cpus"], body["ram_gb"], body["storage_gb"], body["cuda_devices"], body["env"]
        )
        await self._pod.assign(body["session_id"], limits)
        return ok()

    async def tell(self, request: Request) -> Response:
        body = await read_json(request)
        await self._pod.tell(body["env"], body["seconds_left"])
        return ok(cpus=list(self._pod.limits.cpus))

    async def state(self, request: Request) -> Response:
        return ok(session_id=self._pod.session_id, busy=self._pod.kernel.busy)

    async def glance(self, request: Request) -> Response:
        return ok(**await self._pod.glance())

    async def stop(self, request: Request) -> Response:
        self._pod.outside.close()  # who follows it would hold up the end
        self._stop()
        return ok()

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        return [
            Route("/pod/assign/", self.assign, methods=["POST"]),
            Route("/pod/tell/", self.tell, methods=["POST"]),
            Route("/pod/", self.state, methods=["GET"]),
            Route("/pod/glance/", self.glance, methods=["GET"]),
            Route("/pod/stop/", self.stop, methods=["POST"]),
        ]
