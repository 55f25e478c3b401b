"""Requests to this machine, over connections that are kept: a cell waits for little else.

To a service on this machine there are no proxies, redirects, cookies or certificates, and what
httpx does about them takes several times as long as the exchange itself. A request leaves in one
piece, and Python's own parser reads the answer.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
from collections import deque
from collections.abc import Iterator

import httpx

_KEPT = 8
_CHUNK = 1 << 18


class LoopbackTransport(httpx.BaseTransport):
    """Sends plain HTTP/1.1. Safe to share between threads."""

    def __init__(self) -> None:
        self._idle: deque[socket.socket] = deque()
        self._open: set[_Body] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer; see the base class."""
        timeout = request.extensions["timeout"]
        connection = self._take() or _connect(request, timeout["connect"])
        try:
            connection.settimeout(timeout["write"])
            _send(connection, request)
            connection.settimeout(timeout["read"])
            answer = _begun(connection, request)
        except BaseException:
            connection.close()
            raise
        body = _Body(self, connection, answer, request)
        self._open.add(body)
        return httpx.Response(answer.status, headers=answer.getheaders(), stream=body)

    def close(self) -> None:
        """Close all connections."""
        for body in list(self._open):
            body.abandon()
        while self._idle:
            self._idle.pop().close()

    def done(self, body: _Body, connection: socket.socket | None) -> None:
        """Forget an answer; keep its connection, where it has been read to its end."""
        self._open.discard(body)
        if connection is not None and len(self._idle) < _KEPT:
            self._idle.append(connection)
        elif connection is not None:
            connection.close()

    def _take(self) -> socket.socket | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            connection.setblocking(False)
            try:
                connection.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return connection  # nothing has come, not even its end
            except OSError:
                pass
            connection.close()


class _Body(httpx.SyncByteStream):
    """An answer's body, piece by piece as it comes."""

    def __init__(
        self,
        transport: LoopbackTransport,
        connection: socket.socket,
        answer: http.client.HTTPResponse,
        request: httpx.Request,
    ) -> None:
        self._transport, self._connection = transport, connection
        self._answer, self._request = answer, request
        self._abandoned = False

    def __iter__(self) -> Iterator[bytes]:
        with _translated(self._request, httpx.ReadTimeout, httpx.ReadError):
            try:
                if not self._answer.chunked:
                    yield self._answer.read()
                    return
                while chunk := self._answer.read1(_CHUNK):
                    yield chunk
            except (AttributeError, ValueError) as error:
                if not self._abandoned:
                    raise
                # another thread took the parser apart in the middle of it
                raise ConnectionAbortedError("the connection was closed here") from error

    def close(self) -> None:
        """Keep the connection if it can be used further."""
        if self._answer.isclosed() and not self._answer.will_close:
            self._transport.done(self, self._connection)
        else:
            self.abandon()

    def abandon(self) -> None:
        """Close the connection."""
        self._abandoned = True
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)  # another thread may be reading
        self._answer.close()
        self._connection.close()
        self._transport.done(self, None)


def _connect(request: httpx.Request, seconds: float) -> socket.socket:
    address = (request.url.host, request.url.port or 80)
    with _translated(request, httpx.ConnectTimeout, httpx.ConnectError):
        connection = socket.create_connection(address, seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _send(connection: socket.socket, request: httpx.Request) -> None:
    lines = [b"%b %b HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%b: %b" % header for header in request.headers.raw]
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    with _translated(request, httpx.WriteTimeout, httpx.WriteError):
        if isinstance(request.stream, httpx.ByteStream):
            connection.sendall(head + b"".join(request.stream))
            return
        connection.sendall(head)
        assert isinstance(request.stream, httpx.SyncByteStream)
        for piece in request.stream:
            connection.sendall(piece)


def _begun(connection: socket.socket, request: httpx.Request) -> http.client.HTTPResponse:
    """Return the answer once its head is here."""
    answer = http.client.HTTPResponse(connection, method=request.method)
    try:
        with _translated(request, httpx.ReadTimeout, httpx.ReadError):
            answer.begin()
    except BaseException:
        answer.close()  # it holds the socket open, too
        raise
    return answer


@contextlib.contextmanager
def _translated(
    request: httpx.Request, late: type[httpx.TransportError], broken: type[httpx.TransportError]
) -> Iterator[None]:
    """Raise what httpx would."""
    try:
        yield
    except TimeoutError as error:
        raise late(str(error), request=request) from error
    except OSError as error:
        raise broken(str(error), request=request) from error
    except http.client.HTTPException as error:
        reason = str(error) or type(error).__name__
        raise httpx.RemoteProtocolError(reason, request=request) from error
