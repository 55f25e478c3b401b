"""A service in memory that can be made to fail, as the real platform cannot be made to."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from tests.client.turned_clock import TurnedClock

ACCOUNT_KEY = "sk_compute_0123456789abcdef"


class Service:
    """The computing API in memory, as the stock service answers it, with faults on request.

    ``faults[path]`` is a list of functions called with the request before it is answered, one a
    request: each may raise, or return a response to send instead. ``drop`` acts, then loses the
    answer.
    """

    def __init__(self, clock: TurnedClock) -> None:
        self.clock = clock
        self.capabilities: list[str] = []
        self.sessions: dict[str, dict[str, Any]] = {}
        self.tickets: dict[str, dict[str, Any]] = {}
        self.by_key: dict[str, dict[str, Any]] = {}
        self.available = {"nvidia-rtx-3090": 4, "nvidia-rtx-3060ti": 2, "nvidia-rtx-4090": 0}
        self.faults: dict[str, list[Callable[[httpx.Request], httpx.Response | None]]] = {}
        self.requests: list[httpx.Request] = []
        #: what a created session goes through, one entry a poll; the last one stays
        self.steps: list[tuple[str, str]] = [("running", "ready")]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/jobs/api/computing/")
        for fault in self.faults.get(path, [])[:1]:
            del self.faults[path][0]
            answer = fault(request)
            if answer is not None:
                return answer
        return self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.headers["authorization"] != f"Bearer {ACCOUNT_KEY}":
            return httpx.Response(401, json={"success": False, "error": "Invalid key"})
        path = request.url.path.removeprefix("/jobs/api/computing/").strip("/")
        body = json.loads(request.content) if request.content else dict(request.url.params)
        name = f"{request.method.lower()}_{path.replace('/', '_').replace('-', '_')}"
        status, answer = getattr(self, name)(body, request)
        return httpx.Response(status, json=answer)

    def drop(self, request: httpx.Request) -> httpx.Response:
        """Do what is asked, and lose the answer."""
        self.answer(request)
        raise httpx.ReadTimeout("the answer was lost")

    def count(self, method: str, path: str) -> int:
        return sum(
            r.method == method and r.url.path == f"/jobs/api/computing/{path}"
            for r in self.requests
        )

    def find(self, sid: str) -> dict[str, Any] | None:
        return next((s for s in self.sessions.values() if s["id"].startswith(sid)), None)

    def get_verify(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        answer = {"valid": True, "user": {"username": "ada", "email": "ada@example.org"}}
        return 200, {**answer, "capabilities": self.capabilities}

    def post_sessions_create(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        key = request.headers.get("idempotency-key", "")
        if "idempotency" in self.capabilities and key in self.by_key:
            return 200, self.by_key[key]
        wanted = body.get("gpus") or [{"type": body["gpu_type"], "count": body["gpu_count"]}]
        free = [g["type"] for g in wanted if self.available.get(g["type"], 0) >= g["count"]]
        gone = [g["type"] for g in wanted if g["type"] not in free]
        refusal = {"unavailable_gpus": gone, "available_gpus": free}
        if gone and body["queue_if_unavailable"]:
            ticket = {
                "queue_id": str(uuid.uuid4()),
                "position": len(self.tickets) + 1,
                "status": "pending",
                "vcpu": body["vcpu"],
                "ram": body["ram"],
                "storage": body["storage"],
            }
            self.tickets[ticket["queue_id"]] = ticket
            message = "Aucun GPU disponible. Votre demande a été ajoutée à la queue."
            return 200, {"queued": True, "message": message, **ticket, **refusal}
        if gone and not (body["allow_partial"] and free):
            return 400, {"success": False, "error": "GPUs indisponibles", **refusal}
        taken = [g for g in wanted if g["type"] in free]
        sid = str(uuid.uuid4())
        limits = {key: body[key] for key in ("cost_limit", "duration_limit") if key in body}
        self.sessions[sid] = {
            "id": sid,
            "name": f"compute-gpu-{sid[:8]}",
            "status": "pending",
            "gpu_type": ",".join(g["type"] for g in taken),
            "gpu_count": sum(g["count"] for g in taken),
            "gpus": [{"slug": g["type"], "quantity": g["count"]} for g in taken],
            "vcpu": body["vcpu"],
            "ram": f"{body['ram']}Gi",
            "storage": f"{body['storage']}Gi",
            "url": f"https://clouditia.com/code-editor/{sid}/",
            "password": "hunter2-hunter2",
            "limits": {**limits, "auto_stop_enabled": bool(limits)},
            "polls": 0,
        }
        answer = {"success": True, "session": dict(self.sessions[sid])}
        if gone:
            answer["unavailable_gpus"] = gone
        self.by_key[key] = answer
        return 200, answer

    def get_sessions(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        wanted = body.get("status")
        rows = [s for s in self.sessions.values() if wanted in (None, s["status"])]
        return 200, {"success": True, "sessions": rows}

    def get_sessions_status(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        session = self.find(body["session_id"])
        if session is None:
            return 404, {"success": False, "error": "Session non trouvée"}
        if session["status"] == "stopping":
            session["status"] = "stopped"
        elif session["status"] not in ("stopped", "pausing"):
            step = self.steps[min(session["polls"], len(self.steps) - 1)]
            session["status"], session["creation_step"] = step
            session["polls"] += 1
        return 200, {"success": True, "session": session}

    def post_sessions_stop(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        session = self.find(body["session_id"])
        if session is None:
            return 404, {"success": False, "error": "Session non trouvée"}
        if session["status"] in ("stopping", "stopped"):
            return 400, {"success": False, "error": "already stopped", "code": "session_state"}
        session["status"] = "stopping"
        return 200, {"success": True}

    def post_sessions_rename(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        session = self.find(body["session_id"])
        if session is None:
            return 200, {"success": False, "error": "Session not found"}
        session["name"] = body["name"]
        return 200, {"success": True}

    def post_sessions_pause(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        session = self.find(body["session_id"])
        if session is None:
            return 404, {"success": False, "error": "Session non trouvée"}
        session["status"] = "pausing"
        return 200, {"success": True, "session_id": session["id"], "environment": {}}

    def get_queue(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        return 200, {"success": True, "queue_jobs": list(self.tickets.values())}

    def post_queue_cancel(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        found = [t for t in self.tickets if t.startswith(body["queue_id"])]
        if not found:
            return 404, {"success": False, "error": "Queue job not found"}
        self.tickets[found[0]]["status"] = "cancelled"
        return 200, {"success": True}

    def get_queue_job(self, body: Any, request: httpx.Request) -> tuple[int, Any]:
        found = [t for t in self.tickets.values() if t["queue_id"].startswith(body["queue_id"])]
        if not found:
            return 404, {"success": False, "error": "Queue job not found"}
        attempt = {
            "attempt_id": "a1",
            "success": False,
            "error_message": "none free",
            "unavailable_gpus": ["nvidia-rtx-4090"],
            "attempted_at": "2026-01-02T03:04:05Z",
        }
        return 200, {"success": True, "queue_job": found[0], "attempts": [attempt]}
