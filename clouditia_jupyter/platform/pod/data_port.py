"""A second port for parcels alone, where their bytes cross the pod without passing through asyncio.

``GET`` and ``PUT`` of ``/api/parcels/{id}`` mean what they mean at the pod's main port. Here each
has a thread: a parcel is sent from where it is, and what is received goes through one small buffer.
"""

from __future__ import annotations

import asyncio
import json
import mmap
import os
import secrets
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

from clouditia_jupyter.errors import InvalidRequestError
from clouditia_jupyter.platform.pod.parcels import PARCEL_ID, Parcels, no_room
from clouditia_jupyter.values import handover

T = TypeVar("T")

_BUFFER = 1 << 18
_PIECE = 1 << 20
#: A client that is silent for so long has gone.
_PATIENCE = 60.0


class DataPort(ThreadingHTTPServer):
    """The port; it listens until it is closed.

    Parameters
    ----------
    parcels
        Where they are; touched on the event loop only.
    token
        What callers have to know.
    """

    daemon_threads = True

    def __init__(self, parcels: Parcels, token: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.parcels = parcels
        self.expected = f"Bearer {token}"
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self.serve_forever, name="data-port", daemon=True).start()

    @property
    def number(self) -> int:
        """The port's number."""
        return int(self.server_address[1])

    def on_loop(self, act: Callable[[], T]) -> T:
        """Return what ``act`` returns on the event loop."""

        async def acting() -> T:
            return act()

        return asyncio.run_coroutine_threadsafe(acting(), self._loop).result()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""

    def close(self) -> None:
        """End it."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: DataPort
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE

    def do_PUT(self) -> None:
        parcel = self._parcel()
        if not parcel:
            return
        fd = handover.memory()
        try:
            self._fill(fd, int(self.headers["Content-Length"]))
            handover.seal(fd)
        except BaseException as error:
            os.close(fd)
            if not isinstance(error, OSError) or isinstance(error, (ConnectionError, TimeoutError)):
                raise
            self._refuse(no_room(error))
            return
        self.server.on_loop(lambda: self.server.parcels.add(parcel, fd))
        self._answer(200, b'{"success": true}')

    def _fill(self, fd: int, rest: int) -> None:
        buffer = memoryview(bytearray(_BUFFER))
        while rest:
            count = self.rfile.readinto(buffer[: min(rest, _BUFFER)])
            if not count:
                raise ConnectionError("the client went away")
            handover.write(fd, [buffer[:count]])
            rest -= count

    def do_GET(self) -> None:
        parcel = self._parcel()
        if not parcel:
            return
        try:
            fd = self.server.on_loop(lambda: os.dup(self.server.parcels.find(parcel)))
        except InvalidRequestError as error:
            self._refuse(error)
            return
        try:
            size = os.fstat(fd).st_size
            # a quarter faster than sendfile, which takes few pages at a time
            mapped = mmap.mmap(fd, size, access=mmap.ACCESS_READ) if size else b""
        finally:
            os.close(fd)
        self._head(200, size, "application/octet-stream")
        memory = memoryview(mapped)
        for start in range(0, size, _PIECE):
            self.connection.sendall(memory[start : start + _PIECE])
        self.server.on_loop(lambda: self.server.parcels.drop(parcel))

    def _parcel(self) -> str:
        """Return the id of the parcel that is meant; empty where the caller was refused."""
        given = self.headers.get("Authorization", "")
        if not secrets.compare_digest(given.encode(), self.server.expected.encode()):
            self._answer(401, b'{"success": false, "error": "The pod\'s token is needed here."}')
            return ""
        parcel = self.path.rpartition("/")[2]
        if self.path != f"/api/parcels/{parcel}" or not PARCEL_ID.fullmatch(parcel):
            self._answer(404, b'{"success": false, "error": "Only parcels are here."}')
            return ""
        return parcel

    def _refuse(self, error: InvalidRequestError) -> None:
        self._answer(400, json.dumps({"success": False, "error": str(error)}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self._head(status, len(body), "application/json")
        self.wfile.write(body)

    def _head(self, status: int, size: int, kind: str) -> None:
        # one parcel, one connection: what is left of a refused one is nobody's business
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(size))
        self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        pass
