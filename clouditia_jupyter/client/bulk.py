"""Parcels over HTTP, on connections of their own where that saves copies.

To this machine the bytes go from where they are straight into the socket, and come from it straight
to where they will stay. Elsewhere the network is slower than a copy, and httpx knows the way
through TLS and proxies.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from clouditia_jupyter.client.answers import decode_answer
from clouditia_jupyter.client.transport import Transport, translate
from clouditia_jupyter.errors import ConnectionFailedError

if TYPE_CHECKING:
    from clouditia_jupyter.values.parcel import Stream
    from clouditia_jupyter.values.sections import Buffer

#: Bodies are sent in pieces: httpx copies what is left of one that a socket takes part of.
_PIECE = 1 << 20
_TYPE = "application/octet-stream"


def put(
    way: Transport, path: str, parts: Sequence[Buffer], size: int, port: int | None = None
) -> None:
    """Send a body of ``size`` bytes, to another port of the host where there is one for that.

    Raises
    ------
    ConnectionFailedError
        If it does not arrive.
    APIError
        If it is refused.
    """
    headers = {"Content-Type": _TYPE, "Content-Length": str(size)}
    plain = way.plain_connection(port)
    if plain is None:
        request = way.request("PUT", path, content=_Pieces(parts), headers=headers)
        way.exchange(request, lambda r, body: decode_answer(r.status_code, body), idempotent=True)
        return
    with _translated(way, plain):
        plain.putrequest("PUT", way.prefix + path, skip_accept_encoding=True)
        for name, value in {**way.authorization, **headers}.items():
            plain.putheader(name, value)
        plain.endheaders()
        for part in parts:
            plain.send(memoryview(part))
        answer = plain.getresponse()
        status, body = answer.status, answer.read()
    decode_answer(status, body)


@contextmanager
def get(way: Transport, path: str, port: int | None = None) -> Iterator[Stream]:
    """Open a body, to be read as it comes.

    Raises
    ------
    ConnectionFailedError
        If it does not arrive; from the block under ``with``, too.
    APIError
        If it is refused.
    """
    from clouditia_jupyter.values.parcel import Stream

    plain = way.plain_connection(port)
    if plain is None:
        response = way.stream(way.request("GET", path))
        try:
            size = int(response.headers.get("content-length", 0))
            yield Stream(_Chunks(response.iter_raw()).read_into, size)
        except httpx.TransportError as error:
            raise translate(error, way.base_url)[0] from error
        except EOFError as error:
            raise _broken(way, error) from error
        finally:
            response.close()
        return
    with _translated(way, plain):
        plain.request("GET", way.prefix + path, headers=way.authorization)
        answer = plain.getresponse()
        if answer.status != 200:
            decode_answer(answer.status, answer.read())
        yield Stream(answer.readinto, answer.length or 0)


class _Pieces:
    """The parts of a body, cut; can be sent again."""

    def __init__(self, parts: Sequence[Buffer]) -> None:
        self._parts = parts

    def __iter__(self) -> Iterator[bytes]:
        for part in self._parts:
            view = memoryview(part).cast("B")
            for start in range(0, view.nbytes, _PIECE):
                yield view[start : start + _PIECE]  # type: ignore[misc]  # any buffer will do


class _Chunks:
    """Turns an iteration over chunks into reading."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def read_into(self, view: memoryview) -> int:
        while not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
            if not self._rest:
                return 0
        count = min(view.nbytes, self._rest.nbytes)
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


@contextmanager
def _translated(way: Transport, connection: http.client.HTTPConnection) -> Iterator[None]:
    try:
        yield
    except (OSError, http.client.HTTPException, EOFError) as error:
        if isinstance(error, ConnectionFailedError):
            raise
        raise _broken(way, error) from error
    finally:
        connection.close()


def _broken(way: Transport, error: Exception) -> ConnectionFailedError:
    failed = ConnectionFailedError(
        f"The connection to {way.base_url} broke while variables were on their way ({error}); "
        "nothing was changed. Run it again."
    )
    failed.may_have_acted = True
    return failed
