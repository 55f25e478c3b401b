"""The pod's HTTP face: the code-editor API of one session, and the platform's own calls.

Everything asks for the pod's token. The platform has checked the caller's key and the body; a
client on the same machine that was handed the token talks to the pod directly.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from clouditia_jupyter.errors import (
    APIError,
    AuthenticationError,
    InvalidRequestError,
    SessionLostError,
    ValueTransferError,
)
from clouditia_jupyter.platform.envelope import envelope
from clouditia_jupyter.platform.pod.limits import Limits
from clouditia_jupyter.platform.pod.pod import Pod
from clouditia_jupyter.platform.pod.run import Run

_HEARTBEAT_SECONDS = 15.0
_NDJSON = [(b"content-type", b"application/x-ndjson"), (b"x-accel-buffering", b"no")]
_FORMAT = "X-Clouditia-Format"


class TokenMiddleware:
    """Lets in only who has the pod's token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not secrets.compare_digest(given, self._expected):
                await envelope(AuthenticationError("The pod's token is needed here."))(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


class RunResponse(Response):
    """Streams a run's events, one JSON line each, until its ``done``.

    Empty lines keep the connection alive while the run is silent. Written on the bare ASGI calls:
    this answer is what every cell waits for.
    """

    def __init__(self, run: Run, after: int = 0) -> None:
        self._run, self._after = run, after
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _NDJSON})
        gone: asyncio.Task[Any] | None = None
        try:
            async for chunk in self._run.log.read(self._after, _HEARTBEAT_SECONDS):
                await send(
                    {"type": "http.response.body", "body": chunk or b"\n", "more_body": True}
                )
                # only a silent run needs to find out whether anybody still listens
                if not chunk and gone is None:
                    gone = asyncio.create_task(_disconnected(receive))
                if gone is not None and gone.done():
                    return
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            if gone is not None:
                gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Handlers:
    """One method for each route."""

    def __init__(self, pod: Pod, stop: Callable[[], None]) -> None:
        self._pod = pod
        self._stop = stop

    async def assign(self, request: Request) -> Response:
        body = await _json(request)
        limits = Limits.of(
            body["cpus"], body["ram_gb"], body["storage_gb"], body["cuda_devices"], body["env"]
        )
        await self._pod.assign(body["session_id"], limits)
        return _ok()

    async def state(self, request: Request) -> Response:
        return _ok(session_id=self._pod.session_id, busy=self._pod.kernel.busy)

    async def stop(self, request: Request) -> Response:
        self._stop()
        return _ok()

    async def run(self, request: Request) -> Response:
        body = await _json(request)
        return RunResponse(
            self._pod.run(
                str(body.get("code", "")),
                str(body.get("run_id") or ""),
                store_history=bool(body.get("store_history", True)),
            )
        )

    async def runs(self, request: Request) -> Response:
        return _ok(runs=self._pod.summaries())

    async def events(self, request: Request) -> Response:
        run = self._pod.find_run(request.path_params["run_id"])
        return RunResponse(run, _number(request.query_params.get("after", "0"), "after"))

    async def interrupt(self, request: Request) -> Response:
        await self._pod.kernel.interrupt(self._pod.find_run(request.path_params["run_id"]))
        return _ok()

    async def restart(self, request: Request) -> Response:
        await self._pod.restart("The kernel was restarted; its variables are gone.")
        return _ok()

    async def put_value(self, request: Request) -> Response:
        with tempfile.NamedTemporaryFile(dir=self._pod.sandbox.runtime) as file:
            async for chunk in request.stream():
                file.write(chunk)
            file.flush()
            fmt = request.headers.get(_FORMAT, "json")
            await self._pod.put_value(request.path_params["name"], fmt, Path(file.name))
        return _ok()

    async def fetch_value(self, request: Request) -> Response:
        body = await _json(request)
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

    async def namespace_start(self, request: Request) -> Response:
        return _ok(persistent_id=await self._pod.namespaces.start(self._pod.limits))

    async def namespace_exec(self, request: Request) -> Response:
        body = await _json(request)
        answer = await self._pod.namespaces.execute(
            str(body.get("persistent_id", "")), str(body.get("code", "")), body.get("timeout")
        )
        return JSONResponse(answer)

    async def namespace_stop(self, request: Request) -> Response:
        await self._pod.namespaces.stop(str((await _json(request)).get("persistent_id", "")))
        return _ok()

    async def execute(self, request: Request) -> Response:
        body = await _json(request)
        return await self._isolated("python", body.get("code", ""), body.get("timeout"))

    async def shell(self, request: Request) -> Response:
        body = await _json(request)
        return await self._isolated("shell", body.get("command", ""), body.get("timeout"))

    async def _isolated(self, kind: str, code: str, timeout: float | None) -> Response:
        job = self._pod.jobs.start(kind, code, kind, self._pod.limits, timeout)
        await job.wait()
        return JSONResponse(job.outcome())

    async def stream(self, request: Request) -> Response:
        body = await _json(request)
        job = self._pod.jobs.start(
            "python", body.get("code", ""), "stream", self._pod.limits, body.get("timeout")
        )
        lines = job.lines()

        async def events() -> AsyncIterator[str]:
            async for name, line in lines:
                yield _server_sent("output", {"line": line, "stream": name})
            outcome = job.outcome()
            if outcome["success"]:
                keys = ("success", "exit_code", "result")
                yield _server_sent("done", {key: outcome[key] for key in keys})
            else:
                yield _server_sent("error", {"error": outcome["error"]})

        return StreamingResponse(events(), media_type="text/event-stream")

    async def job_submit(self, request: Request) -> Response:
        body = await _json(request)
        job = self._pod.jobs.start(
            str(body.get("type") or "python"),
            str(body.get("code", "")),
            str(body.get("name") or ""),
            self._pod.limits,
        )
        return _ok(job_id=job.job_id)

    async def job_status(self, request: Request) -> Response:
        return _ok(**self._job(request).summary())

    async def job_logs(self, request: Request) -> Response:
        tail = min(_number(request.query_params.get("tail", "50"), "tail"), 1000)
        text = await run_in_threadpool(self._job(request).text, "log")
        lines = text.splitlines(keepends=True)
        return _ok(logs="".join(lines[max(len(lines) - tail, 0) :]))

    async def job_result(self, request: Request) -> Response:
        job = self._job(request)
        return JSONResponse({**job.outcome(), **job.summary(), "success": True})

    async def job_cancel(self, request: Request) -> Response:
        self._pod.jobs.get(str((await _json(request)).get("job_id", ""))).cancel()
        return _ok()

    async def job_list(self, request: Request) -> Response:
        limit = _number(request.query_params.get("limit", "50"), "limit")
        jobs = self._pod.jobs.list(request.query_params.get("status"), limit)
        return _ok(jobs=[job.summary() for job in jobs])

    def _job(self, request: Request) -> Any:
        return self._pod.jobs.get(request.query_params.get("job_id", ""))


def build_app(pod: Pod, token: str, stop: Callable[[], None]) -> Starlette:
    """Return the pod's app; ``stop`` is called when the platform ends the session."""
    on = Handlers(pod, stop)
    routes: list[tuple[str, str, Callable[[Request], Awaitable[Response]]]] = [
        ("POST", "/api/runs/", on.run),
        ("GET", "/api/runs/", on.runs),
        ("GET", "/api/runs/{run_id}/events/", on.events),
        ("POST", "/api/runs/{run_id}/interrupt/", on.interrupt),
        ("POST", "/api/kernel/restart/", on.restart),
        ("PUT", "/api/values/{name}", on.put_value),
        ("POST", "/api/values/fetch/", on.fetch_value),
        ("POST", "/api/session/start/", on.namespace_start),
        ("POST", "/api/session/exec/", on.namespace_exec),
        ("POST", "/api/session/stop/", on.namespace_stop),
        ("POST", "/api/execute/", on.execute),
        ("POST", "/api/stream/", on.stream),
        ("POST", "/api/shell/", on.shell),
        ("POST", "/api/jobs/submit/", on.job_submit),
        ("GET", "/api/jobs/status/", on.job_status),
        ("GET", "/api/jobs/logs/", on.job_logs),
        ("GET", "/api/jobs/result/", on.job_result),
        ("POST", "/api/jobs/cancel/", on.job_cancel),
        ("GET", "/api/jobs/list/", on.job_list),
        ("POST", "/pod/assign/", on.assign),
        ("GET", "/pod/", on.state),
        ("POST", "/pod/stop/", on.stop),
    ]
    return Starlette(
        routes=[Route(path, handler, methods=[method]) for method, path, handler in routes],
        middleware=[Middleware(TokenMiddleware, token=token)],
        exception_handlers={
            APIError: _api_error,
            ValueTransferError: _refused,
            SessionLostError: _refused,
        },
    )


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, APIError)
    return envelope(error)


async def _refused(request: Request, error: Exception) -> Response:
    return envelope(InvalidRequestError(str(error)))


def _ok(**fields: Any) -> JSONResponse:
    return JSONResponse({"success": True, **fields})


async def _json(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise InvalidRequestError("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise InvalidRequestError("The body is not a JSON object.")
    return body


def _number(text: str, name: str) -> int:
    try:
        return max(int(text), 0)
    except ValueError:
        raise InvalidRequestError(f"{name} is a whole number, not {text!r}.") from None


def _server_sent(event: str, data: dict[str, Any]) -> str:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"


async def _chunks(file: Any) -> AsyncIterator[bytes]:
    with file:
        while chunk := file.read(1 << 20):
            yield chunk
