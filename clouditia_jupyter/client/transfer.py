"""Variables to and from a session: bytes in a body of their own, never inside code."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import httpx

from clouditia_jupyter.client.answers import decode_object
from clouditia_jupyter.client.arguments import identifier
from clouditia_jupyter.client.route import Route
from clouditia_jupyter.errors import UnsupportedError

_FORMAT = "X-Clouditia-Format"
#: Bodies are sent in pieces: a socket that takes part of a big one copies what is left each time.
_PIECE = 1 << 20


class Encoded(NamedTuple):
    """A value as bytes, made once for however many sessions it goes to."""

    kind: str
    data: bytes


def encoded(value: Any) -> Encoded:
    """Return a value as the bytes that :func:`push` sends.

    Raises
    ------
    ValueTransferError
        If it cannot cross.
    """
    # what encodes values is heavy, and most callers never move one
    from clouditia_jupyter.values import encode

    return value if isinstance(value, Encoded) else Encoded(*encode(value))


def push(route: Route, name: str, value: Any) -> None:
    """Put ``value``, which may be encoded already, into the session's namespace as ``name``."""
    path = f"/api/values/{identifier(name)}"
    kind, data = encoded(value)
    view = memoryview(data)
    # httpx takes any buffer, though it only says bytes
    pieces = cast(
        "list[bytes]", [view[start : start + _PIECE] for start in range(0, len(view), _PIECE)]
    )
    headers = {
        _FORMAT: kind,
        "Content-Type": "application/octet-stream",
        "Content-Length": str(len(view)),
    }
    route.exchange(
        lambda way: way.request("PUT", path, content=pieces, headers=headers),
        lambda response, body: decode_object(response.status_code, body),
    )


def pull(route: Route, name: str, allow_pickle: bool) -> Any:
    """Return the value of the session's variable ``name``."""
    from clouditia_jupyter.values import decode

    wanted = {"name": identifier(name), "allow_pickle": allow_pickle}
    kind, data = route.exchange(
        lambda way: way.request("POST", "/api/values/fetch/", json=wanted), _value
    )
    return decode(kind, data, allow_pickle=allow_pickle)


def _value(response: httpx.Response, body: bytes) -> tuple[str, bytes]:
    kind = response.headers.get(_FORMAT)
    if response.status_code != 200 or kind is None:
        decode_object(response.status_code, body)
        raise UnsupportedError("The service sent no variable; it may be of another version.")
    return kind, body
