"""What a cell asks its user: answer it, and see whether it still asks."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clouditia_jupyter.platform.pod.api.exchange import ok, query_number, read_json
from clouditia_jupyter.platform.pod.pod import Pod

_LONGEST_WAIT_SECONDS = 20.0


class QuestionCalls:
    """The questions of one pod's runs."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    async def answer(self, request: Request) -> Response:
        body = await read_json(request)
        run = self._pod.find_run(request.path_params["run_id"])
        self._pod.kernel.answer(run, int(body.get("request", 0)), str(body.get("value", "")))
        return ok()

    async def state(self, request: Request) -> Response:
        question = self._pod.find_run(request.path_params["run_id"]).question
        asked = query_number(request, "request", 0)
        if question is None or not question.is_open(asked):
            return ok(open=False)
        wait = float(request.query_params.get("wait", 0))
        await question.closed(min(wait, _LONGEST_WAIT_SECONDS))
        return ok(open=question.is_open(asked))

    def routes(self) -> list[Route]:
        """Return the calls and their paths."""
        path = "/api/runs/{run_id}/input/"
        return [
            Route(path, self.answer, methods=["POST"]),
            Route(path, self.state, methods=["GET"]),
        ]
