"""A pod that drops connections, as the real one cannot be made to."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


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
