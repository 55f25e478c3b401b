"""A clock that tests turn, a service that can be made to fail, and a pod that drops connections.

The real platform is used wherever it can be brought to do what a test needs; these stand in for the
faults that it cannot be made to have.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

ACCOUNT_KEY = "sk_compute_0123456789abcdef"
SESSION_KEY = "sk_live_0123456789abcdef"


class TurnedClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


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


class Pod:
    """Runs over a real socket: each has a fixed list of events, and connections can be cut.

    ``faults`` holds, one a streaming request, what to do to it: ``None`` (all is well), an int (cut
    after so many events), ``"cut-half"`` (in the middle of the first line), ``"503"``, ``"refuse"``
    (close without an answer), ``"beat"`` (a heartbeat, then cut).
    """

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.faults: list[Any] = []
        self.started: list[str] = []
        self.requests: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.direct: dict[str, str] | None = None
        self.capabilities = ["runs", "values"]
        self.interrupted = threading.Event()
        self.hold_until_interrupted = False
        self.answers: dict[str, tuple[int, Any]] = {}
        self.parcels: dict[str, bytes] = {}
        self.bound = b""
        self.connections: list[socket.socket] = []
        pod = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # answers leave in one packet
            wbufsize = -1
            disable_nagle_algorithm = True

            def log_message(self, *args: Any) -> None:
                pass

            def body(self) -> bytes:
                return self.rfile.read(int(self.headers.get("content-length") or 0))

            def reply(self, status: int, answer: Any) -> None:
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                self.wfile.flush()

            def do_GET(self) -> None:
                path, _, query = self.path.partition("?")
                pod.requests.append(f"GET {self.path}")
                if path in pod.answers:
                    self.reply(*pod.answers[path])
                elif path == "/api/verify/":
                    facts = {"session_id": "s" * 36, "session_name": "lab", "status": "running"}
                    answer: dict[str, Any] = {**facts, "capabilities": pod.capabilities}
                    if pod.direct:
                        answer["direct"] = pod.direct
                    self.reply(200, answer)
                elif path == "/api/runs/":
                    runs = [{"run_id": run, "status": "ok"} for run in pod.started]
                    self.reply(200, {"success": True, "runs": runs})
                elif path.startswith("/api/parcels/"):
                    data = pod.parcels[path.rsplit("/", 1)[1]]
                    self.send_response(200)
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                elif path.endswith("/events/"):
                    if path.split("/")[3] not in pod.started:
                        self.reply(404, {"success": False, "error": "no", "code": "job_not_found"})
                    else:
                        self.stream(int(parse_qs(query)["after"][0]))
                else:
                    self.reply(404, {"success": False, "error": "no such page"})

            def do_POST(self) -> None:
                body = self.body()
                pod.requests.append(f"POST {self.path}")
                if self.path in pod.answers:
                    pod.sent.append(json.loads(body))
                    self.reply(*pod.answers[self.path])
                elif self.path == "/api/runs/":
                    submission = json.loads(body)
                    pod.sent.append(submission)
                    if submission["run_id"] not in pod.started:
                        pod.started.append(submission["run_id"])
                    self.stream(0)
                elif self.path.endswith("/interrupt/"):
                    pod.interrupted.set()
                    self.reply(200, {"success": True})
                elif self.path == "/api/values/":
                    pod.bound = pod.parcels[json.loads(body)["parcel"]]
                    self.reply(200, {"success": True})
                elif self.path == "/api/values/fetch/":
                    pod.parcels[json.loads(body)["parcel"]] = pod.bound
                    self.reply(200, {"success": True})
                else:
                    self.reply(200, {"success": True})

            def do_PUT(self) -> None:
                pod.requests.append(f"PUT {self.path}")
                pod.parcels[self.path.rsplit("/", 1)[1]] = self.body()
                self.reply(200, {"success": True})

            def stream(self, after: int) -> None:
                fault = pod.faults.pop(0) if pod.faults else None
                if fault == "refuse":
                    self.close_connection = True
                    return
                if fault == "503":
                    self.reply(503, {"success": False, "error": "restarting"})
                    return
                self.send_response(200)
                self.send_header("content-type", "application/x-ndjson")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                if fault == "beat":
                    self.chunk(b"\n")
                todo = [event for event in pod.events if event["seq"] > after]
                for number, event in enumerate(todo):
                    line = json.dumps(event).encode() + b"\n"
                    if fault == "cut-half":
                        self.chunk(line[: len(line) // 2])
                    if fault in ("beat", "cut-half", number):
                        self.wfile.flush()
                        self.close_connection = True
                        return
                    if event["type"] == "done" and pod.hold_until_interrupted:
                        self.chunk(b"\n")
                        self.wfile.flush()
                        pod.interrupted.wait()
                    self.chunk(line)
                self.chunk(b"")
                self.wfile.flush()

            def chunk(self, data: bytes) -> None:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, connection: Any, address: Any) -> None:
                pod.connections.append(connection)
                super().process_request(connection, address)

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        # a short poll, so that the end of a test does not wait half a second for it
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def prints(self, *texts: str, status: str = "ok") -> None:
        """Let every run print these texts and end."""
        self.events = [
            {"seq": n, "type": "stream", "content": {"name": "stdout", "text": text}}
            for n, text in enumerate(texts, 1)
        ]
        done = {"status": status, "execution_count": 1, "seconds": 0.1}
        self.events.append({"seq": len(texts) + 1, "type": "done", "content": done})

    def close(self) -> None:
        self.interrupted.set()
        self.server.shutdown()
        for connection in self.connections:
            with contextlib.suppress(OSError):  # closed long ago
                connection.shutdown(socket.SHUT_RDWR)
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def service(clock: TurnedClock) -> Service:
    return Service(clock)


@pytest.fixture
def make_pod() -> Iterator[Callable[[], Pod]]:
    pods: list[Pod] = []

    def make() -> Pod:
        pods.append(Pod())
        return pods[-1]

    yield make
    for pod in pods:
        pod.close()


@pytest.fixture
def pod(make_pod: Callable[[], Pod]) -> Pod:
    return make_pod()
