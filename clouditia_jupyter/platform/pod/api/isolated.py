"""The protocol's isolated runs and jobs: each in a process of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from clouditia_jupyter.platform.pod.api.exchange import ok, query_number, read_json
from clouditia_jupyter.platform.pod.jobs import Job
from clouditia_jupyter.platform.pod.pod import Pod


class IsolatedCalls:
    """What runs beside the kernel of one pod."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def execute(self, request: Request) -> Response:
        body = await read_json(request)
        return await self._isolated("python", body.get("code", ""), body.get("timeout"))

    async def shell(self, request: Request) -> Response:
        body = await read_json(request)
        return await self._isolated("shell", body.get("command", ""), body.get("timeout"))

    async def _isolated(self, kind: str, code: str, timeout: float | None) -> Response:
        job = self._pod.jobs.start(kind, code, kind, self._pod.limits, timeout)
        await job.wait()
        return JSONResponse(job.outcome())

    async def stream(self, request: Request) -> Response:
        body = await read_json(request)
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
        body = await read_json(request)
        job = self._pod.jobs.start(
            str(body.get("type") or "python"),
            str(body.get("code", "")),
            str(body.get("name") or ""),
            self._pod.limits,
        )
        return ok(job_id=job.job_id)

    async def job_status(self, request: Request) -> Response:
        return ok(**self._job(request).summary())

    async def job_logs(self, request: Request) -> Response:
        tail = min(query_number(request, "tail", 50), 1000)
        text = await run_in_threadpool(self._job(request).text, "log")
        lines = text.splitlines(keepends=True)
        return ok(logs="".join(lines[max(len(lines) - tail, 0) :]))

    async def job_result(self, request: Request) -> Response:
        job = self._job(request)
        return JSONResponse({**job.outcome(), **job.summary(), "success": True})

    async def job_cancel(self, request: Request) -> Response:
        self._pod.jobs.get(str((await read_json(request)).get("job_id", ""))).cancel()
        return ok()

    async def job_list(self, request: Request) -> Response:
        limit = query_number(request, "limit", 50)
        jobs = self._pod.jobs.list(request.query_params.get("status"), limit)
        return ok(jobs=[job.summary() for job in jobs])

    def _job(self, request: Request) -> Job:
        return self._pod.jobs.get(request.query_params.get("job_id", ""))

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        return [
            Route("/api/execute/", self.execute, methods=["POST"]),
            Route("/api/stream/", self.stream, methods=["POST"]),
            Route("/api/shell/", self.shell, methods=["POST"]),
            Route("/api/jobs/submit/", self.job_submit, methods=["POST"]),
            Route("/api/jobs/status/", self.job_status, methods=["GET"]),
            Route("/api/jobs/logs/", self.job_logs, methods=["GET"]),
            Route("/api/jobs/result/", self.job_result, methods=["GET"]),
            Route("/api/jobs/cancel/", self.job_cancel, methods=["POST"]),
            Route("/api/jobs/list/", self.job_list, methods=["GET"]),
        ]


def _server_sent(event: str, data: dict[str, Any]) -> str:
    return f"event: {event}\ndata: {json.dumps(data)}\n\n"
