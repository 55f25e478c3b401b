"""The agent as a pod: answers the requests that a pod would, through persistent namespaces.

It stands where the network would, below :class:`Transport`, so that runs, streams that resume,
interrupts and variables are the very same code on every service.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Iterator
from typing import Any, cast

import httpx

from clouditia_jupyter.client.agent.line import Answer, TruncatedError
from clouditia_jupyter.client.agent.lines import Lines, lost
from clouditia_jupyter.client.agent.transfers import Transfers
from clouditia_jupyter.client.retry import NEVER
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import APIError, ConnectionFailedError

#: What a service gains by the agent.
CAPABILITIES = frozenset({"runs", "values", "inspection", "glance"})
#: The longest that one request waits for output, in seconds; a proxy cuts a request at 100.
_POLL = 15.0
#: How long the request that submits waits: a short cell is one request, and a long one is known to
#: be submitted.
_FIRST_POLL = 0.2
#: How long output is gathered once there is some.
_GATHER = 0.02
_LARGEST_ANSWER, _SMALLEST_ANSWER = 1 << 20, 1 << 12
#: What is left for the way of an answer that is only wanted while somebody types.
_TYPING = 0.1

_HEX = "[0-9A-Za-z_-]+"


class Agent(httpx.BaseTransport):
    """Takes a pod's requests to the agent of a session.

    Parameters
    ----------
    platform
        The code-editor API.
    """

    def __init__(self, platform: Transport) -> None:
        self._lines = Lines(platform)
        self._transfers = Transfers(platform, self._lines)
        self._largest = self._most = _LARGEST_ANSWER
        self._submitted = ("", "")
        self._calls: tuple[tuple[str, str, Callable[..., httpx.Response]], ...] = (
            ("POST", "/api/runs/", self._start),
            ("GET", "/api/runs/", self._runs),
            ("GET", "/api/glance/", self._glance),
            ("GET", f"/api/runs/({_HEX})/events/", self._events),
            ("POST", f"/api/runs/({_HEX})/interrupt/", self._interrupt),
            ("POST", "/api/kernel/restart/", self._restart),
            ("PUT", f"/api/parcels/({_HEX})", self._put),
            ("GET", f"/api/parcels/({_HEX})", self._get),
            ("POST", "/api/values/", self._bind),
            ("POST", "/api/values/fetch/", self._fetch),
            ("POST", "/api/names/", self._look_up),
            ("POST", "/api/(complete|inspect)/", self._ask),
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer; see the base class."""
        for method, pattern, answer in self._calls:
            found = re.search(f"{pattern}$", request.url.path)
            if found and request.method == method:
                try:
                    return answer(request, *found.groups())
                except APIError as error:
                    # the transport above makes the same exception of it
                    return _refusal(error.status, str(error), error.code, error.details)
        return _refusal(501, "The agent of this service does not do that.", "unsupported")

    def close(self) -> None:
        """Leave the session; runs go on."""
        self._lines.close()

    def _start(self, request: httpx.Request) -> httpx.Response:
        submission = json.loads(request.read())
        run_id = submission.pop("run_id")
        command = {
            "code": submission.get("code", ""),
            "silent": bool(submission.get("silent", False)),
            "store_history": bool(submission.get("store_history", True)),
            "limit": submission.get("limit"),
            "parcel": submission.get("parcel"),
        }
        self._lines.connect()
        if self._submitted[0] != run_id:
            self._submitted = run_id, self._lines.broker
        elif self._submitted[1] != self._lines.broker:
            raise lost()  # what was submitted there may have run
        return self._stream({"op": "run", "run_id": run_id, "command": command})

    def _events(self, request: httpx.Request, run_id: str) -> httpx.Response:
        place = {name: int(request.url.params.get(name, "0")) for name in ("after", "offset")}
        return self._stream({"op": "read", "run_id": run_id, **place})

    def _stream(self, head: dict[str, Any]) -> httpx.Response:
        # the agent keeps a request waiting for one listener no longer than its next one comes
        head["listener"] = secrets.token_hex(8)
        first = self._read(head, _FIRST_POLL)
        if first.head["status"] != 200:
            return _answer(first)
        # the part of a line that is there already is not sent again
        headers = {"X-Clouditia-Offset": str(head.get("offset", 0))}
        return httpx.Response(200, headers=headers, stream=_Events(self._read, head, first))

    def _read(self, head: dict[str, Any], wait: float) -> Answer:
        timing = {"wait": wait, "gather": _GATHER}
        answer = self._sized({**head, **timing}, wait + _GATHER)
        if answer.head["status"] == 200:
            position, end = answer.head.get("position"), answer.head.get("end")
            if not isinstance(position, int) or not isinstance(end, bool):
                raise APIError("The agent in the session answers what no agent says; run again.")
        return answer

    def _sized(self, head: dict[str, Any], wait: float = 0.0) -> Answer:
        """Return the answer to a request for as much as the service is known to carry."""
        while True:
            try:
                answer = self._lines.exchange(
                    {**head, "limit": self._largest}, wait=wait, again=not wait
                )
            except TruncatedError:
                if self._largest <= _SMALLEST_ANSWER:
                    raise ConnectionFailedError(
                        "The service cuts the agent's answers short; run again in a minute."
                    ) from None
                self._most = self._largest = self._largest // 2
            except ConnectionFailedError:
                # what cut the connection may do so again at the same length
                self._largest = max(self._largest // 2, _SMALLEST_ANSWER)
                raise
            else:
                if len(answer.body) == self._largest:
                    self._largest = min(self._largest * 5 // 4, self._most)
                return answer

    def _runs(self, request: httpx.Request) -> httpx.Response:
        return _answer(self._sized({"op": "runs"}))

    def _glance(self, request: httpx.Request) -> httpx.Response:
        return _answer(self._lines.exchange({"op": "glance"}))

    def _interrupt(self, request: httpx.Request, run_id: str) -> httpx.Response:
        return _answer(self._lines.exchange({"op": "interrupt", "run_id": run_id}))

    def _restart(self, request: httpx.Request) -> httpx.Response:
        return _answer(self._lines.exchange({"op": "restart", "id": secrets.token_hex(16)}))

    def _put(self, request: httpx.Request, parcel: str) -> httpx.Response:
        body = cast("httpx.SyncByteStream", request.stream)
        self._transfers.send(parcel, body, int(request.headers["Content-Length"]))
        return httpx.Response(200, json={"success": True})

    def _get(self, request: httpx.Request, parcel: str) -> httpx.Response:
        size, pieces = self._transfers.receive(parcel)
        return httpx.Response(200, headers={"Content-Length": str(size)}, stream=pieces)

    def _bind(self, request: httpx.Request) -> httpx.Response:
        parcel = json.loads(request.read())["parcel"]
        return httpx.Response(200, json={"success": True, **self._transfers.bind(parcel)})

    def _fetch(self, request: httpx.Request) -> httpx.Response:
        found = self._transfers.fetch(**json.loads(request.read()))
        return httpx.Response(200, json={"success": True, **found})

    def _look_up(self, request: httpx.Request) -> httpx.Response:
        wanted = json.loads(request.read())
        found = self._transfers.look_up(wanted["names"], wanted["modules"])
        return httpx.Response(200, json={"success": True, **found})

    def _ask(self, request: httpx.Request, operation: str) -> httpx.Response:
        patience = float(request.extensions["timeout"]["read"])
        command = {"op": operation, **json.loads(request.read())}
        wait = max(0.0, patience - _TYPING)
        said = self._lines.ask({"op": "ask", "command": command, "wait": wait}, wait, patience)
        answer = said and said.head.get("result")
        if not isinstance(answer, dict) or "refused" in answer or "lost" in answer:
            answer = None
        return httpx.Response(200, json={"success": True, "answer": answer})


class _Events(httpx.SyncByteStream):
    """The lines of a run's events, poll by poll; an empty line where a poll brought none."""

    def __init__(
        self,
        read: Callable[[dict[str, Any], float], Answer],
        head: dict[str, Any],
        first: Answer,
    ) -> None:
        self._read, self._answer = read, first
        self._head = {"op": "read", "run_id": head["run_id"], "listener": head["listener"]}

    def __iter__(self) -> Iterator[bytes]:
        if self._answer.body:
            yield self._answer.body
        while not self._answer.head["end"]:
            position = {"position": self._answer.head["position"]}
            self._answer = self._read({**self._head, **position}, _POLL)
            if self._answer.head["status"] != 200:
                raise ConnectionFailedError("The agent in the session was replaced by another.")
            yield self._answer.body or b"\n"


def agent_transport(platform: Transport) -> Transport:
    """Return what reaches the agent of the session that ``platform``'s key belongs to."""
    # the key stays with the platform's own transport: no request to the agent carries it
    return Transport(
        platform.base_url,
        secrets.token_hex(16),
        timeout=platform.timeout,
        http_transport=Agent(platform),
        clock=platform.clock,
        retries=NEVER,
    )


def _answer(answer: Answer) -> httpx.Response:
    head = dict(answer.head)
    status = head.pop("status")
    return httpx.Response(status, json={"success": status == 200, **head})


def _refusal(
    status: int, error: str, code: str, details: dict[str, Any] | None = None
) -> httpx.Response:
    body = {**(details or {}), "success": False, "error": error, "code": code}
    return httpx.Response(status, json=body)
