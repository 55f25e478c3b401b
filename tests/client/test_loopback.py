"""The wire to this machine: connections are kept, found dead, and cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import httpx
import pytest

from clouditia_jupyter.client.loopback import LoopbackTransport
from clouditia_jupyter.client.messages import SessionStream
from clouditia_jupyter.client.transport import Transport

if TYPE_CHECKING:
    from clouditia_jupyter.client.route import Route

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Server:
    """Answers each request of a connection with the next of its answers, then closes it."""

    def __init__(self, *connections: list[bytes]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.requests: list[bytes] = []
        self.closed = [threading.Event() for _ in connections]
        self.thread = threading.Thread(target=self._serve, args=(connections,), daemon=True)
        self.thread.start()

    def _serve(self, connections: tuple[list[bytes], ...]) -> None:
        for answers, closed in zip(connections, self.closed, strict=True):
            connection, _ = self.listener.accept()
            with connection:
                for answer in answers:
                    self.requests.append(connection.recv(1 << 16))
                    connection.sendall(answer)
            closed.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}/path?q=1"


@pytest.fixture
def wire() -> Iterator[LoopbackTransport]:
    made = LoopbackTransport()
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(*connections: list[bytes]) -> Server:
        servers.append(Server(*connections))
        return servers[-1]

    yield start
    for server in servers:
        server.thread.join()
        server.listener.close()


def send(wire: LoopbackTransport, url: str, **options: object) -> httpx.Response:
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), 5.0)
    request = httpx.Request("POST", url, extensions={"timeout": timeouts}, **options)
    return wire.handle_request(request)


def test_a_connection_is_kept_and_a_request_is_one_piece(wire, serve):
    server = serve([OK, CHUNKED + b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", OK])
    assert send(wire, server.url, content=b"body").read() == b"ok"
    response = send(wire, server.url, content=b"body", headers={"X-Own": "é".encode()})
    assert list(response.iter_raw()) == [b"a", b"bc"]
    response.close()
    assert send(wire, server.url, content=b"more").read() == b"ok"
    head, _, body = server.requests[1].partition(b"\r\n\r\n")
    assert head.splitlines()[0] == b"POST /path?q=1 HTTP/1.1"
    assert "X-Own: é".encode() in head
    assert body == b"body"


def test_a_connection_that_was_closed_meanwhile_is_not_used(wire, serve):
    server = serve([OK], [OK])
    assert send(wire, server.url).read() == b"ok"
    server.closed[0].wait()
    assert send(wire, server.url).read() == b"ok"


def test_an_answer_that_is_left_half_way_takes_its_connection_along(wire, serve):
    server = serve([CHUNKED + b"1\r\na\r\n"], [OK])
    response = send(wire, server.url)
    assert next(response.iter_raw()) == b"a"
    response.close()
    assert send(wire, server.url).read() == b"ok"


@pytest.mark.parametrize("whole", [True, False], ids=["all connections", "one answer"])
def test_what_another_thread_reads_can_be_closed(wire, whole):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answered = ThreadPoolExecutor(1).submit(_answer_and_wait, listener)
        response = send(wire, f"http://127.0.0.1:{listener.getsockname()[1]}/")
        chunks = response.iter_raw()
        assert next(chunks) == b"a"
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(next, chunks)
            (wire if whole else response).close()
            with pytest.raises(httpx.TransportError):
                reading.result()
        answered.result()


def test_who_follows_a_session_can_be_stopped_by_another_thread():
    line = b'{"seq":1,"type":"idle","content":{}}\n'
    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(2) as pool:
        answered = pool.submit(_answer_and_wait, listener, line)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Transport(url, "a-key") as way:
            stream = SessionStream(cast("Route", SimpleNamespace(transport=way)))
            assert next(stream).type == "idle"
            reading = pool.submit(list, stream)
            stream.stop()
            assert reading.result(timeout=10) == []
        answered.result()


def _answer_and_wait(listener: socket.socket, body: bytes = b"a") -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(CHUNKED + b"%x\r\n%b\r\n" % (len(body), body))
        while connection.recv(1 << 16):  # until the other end is gone
            pass


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", CHUNKED + b"5\r\nab", OK[:-1], CHUNKED + b"zz\r\n"],
    ids=["nothing", "nonsense", "half a chunk", "half a body", "no chunk"],
)
def test_what_is_broken_raises_what_httpx_would(wire, serve, answer):
    with pytest.raises(httpx.TransportError):
        send(wire, serve([answer]).url).read()


def test_nobody_there_and_nothing_said(wire):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        request = httpx.Request(
            "GET", url, extensions={"timeout": {"connect": 5.0, "read": 0.05, "write": 5.0}}
        )
        with pytest.raises(httpx.ReadTimeout):
            wire.handle_request(request)
    with pytest.raises(httpx.ConnectError):
        wire.handle_request(request)
