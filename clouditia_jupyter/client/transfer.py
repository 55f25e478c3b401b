"""Variables to and from a session, in parcels: bytes in a body of their own, never inside code.

A parcel is handed over in memory where client and pod are one user's on one machine, and goes over
HTTP everywhere else; what it holds is the same.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from clouditia_jupyter.client import bulk
from clouditia_jupyter.client.arguments import identifier
from clouditia_jupyter.client.route import Route
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import ClouditiaError, ValueTransferError

if TYPE_CHECKING:
    from clouditia_jupyter.values import Encoded
    from clouditia_jupyter.values.handover import Counter
    from clouditia_jupyter.values.sections import Buffer


def encoded(value: Any) -> Encoded:
    """Return a value as the bytes that go out: made once for however many sessions it goes to.

    Raises
    ------
    ValueTransferError
        If it cannot cross.
    """
    # what encodes values is heavy, and most callers never move one
    from clouditia_jupyter.values import encode

    return encode(value)


class _Shortcuts(NamedTuple):
    """What a pod has for clients on its own machine.

    Attributes
    ----------
    path
        Of the socket where it hands parcels over; empty for none.
    port
        For parcels alone; None for none.
    """

    path: str = ""
    port: int | None = None


class Transfer:
    """The variables of one session.

    Parameters
    ----------
    route
        The ways to it.

    Attributes
    ----------
    in_memory
        Whether parcels are handed over in memory where that is possible.
    """

    def __init__(self, route: Route) -> None:
        self.in_memory = True
        self._route = route
        self._known = ("", _Shortcuts())

    def push(self, values: Mapping[str, Any]) -> None:
        """Put values, which may be encoded already, into the session: all of them, or none."""
        with self.offered(values) as parcel:
            body = {"parcel": parcel}
            _require(self._route.call("POST", "/api/values/", json=body, idempotent=True))

    @contextmanager
    def offered(self, values: Mapping[str, Any]) -> Iterator[str]:
        """Give the id of a parcel of values that the session can bind as long as the block lasts.

        What has been told of it by then may do so later.
        """
        from clouditia_jupyter.values.parcel import pack
        from clouditia_jupyter.values.sections import size_of

        for name in values:
            identifier(name)
        parts = pack(values, allow_pickle=True)
        parcel = uuid.uuid4().hex

        with ExitStack() as kept:

            def send(way: Transport) -> None:
                if not kept.enter_context(self._in_memory(way, parcel, parts)):
                    bulk.put(way, f"/api/parcels/{parcel}", parts, size_of(parts), self._port(way))

            self._route.over(send, idempotent=True)
            yield parcel

    def pull(self, names: Iterable[str], *, allow_pickle: bool) -> dict[str, Any]:
        """Return values of the session by name."""
        from clouditia_jupyter.values.parcel import unpack

        wanted = [identifier(name) for name in names]
        parcel = uuid.uuid4().hex
        body = {"names": wanted, "parcel": parcel, "allow_pickle": allow_pickle}

        def receive(way: Transport) -> dict[str, Any]:
            _require(way.call("POST", "/api/values/fetch/", json=body, idempotent=True))
            fd = self._taken(way, parcel)
            if fd is None:
                with bulk.get(way, f"/api/parcels/{parcel}", self._port(way)) as source:
                    return unpack(source, allow_pickle=allow_pickle)
            from clouditia_jupyter.values.parcel import File

            try:
                return unpack(File(fd), allow_pickle=allow_pickle)
            finally:
                os.close(fd)

        values = self._route.over(receive, idempotent=True)
        if list(values) != wanted:
            raise ValueTransferError("The session sent other variables than were asked for.")
        return values

    @contextmanager
    def _in_memory(self, way: Transport, parcel: str, parts: Sequence[Buffer]) -> Iterator[bool]:
        """Offer a parcel in memory as long as the block lasts; say whether that worked."""
        counter = self._counter(way)
        if counter is None:
            yield False
            return
        from clouditia_jupyter.values.handover import NoHandoverError, sealed

        with counter:
            try:
                fd = sealed(parts)
                try:
                    counter.offer(parcel, fd)
                finally:
                    os.close(fd)
                offered = True
            except (NoHandoverError, OSError):
                offered = False
            yield offered

    def _taken(self, way: Transport, parcel: str) -> int | None:
        """Return a descriptor of a parcel that is handed over; None where it has to be sent."""
        counter = self._counter(way)
        if counter is None:
            return None
        from clouditia_jupyter.values.handover import NoHandoverError

        with counter:
            try:
                return counter.take(parcel)
            except NoHandoverError:
                return None

    def _counter(self, way: Transport) -> Counter | None:
        """Return a connection to where the pod hands over; None where it cannot be reached."""
        path = self._shortcuts(way).path if self.in_memory else ""
        if not path:
            return None
        from clouditia_jupyter.values.handover import Counter, NoHandoverError

        try:
            return Counter(path)
        except NoHandoverError:
            self._known = (way.base_url, self._known[1]._replace(path=""))
            return None

    def _port(self, way: Transport) -> int | None:
        """Return the number of the pod's port for parcels; None where it cannot be reached."""
        return self._shortcuts(way).port

    def _shortcuts(self, way: Transport) -> _Shortcuts:
        """Return what a pod has besides its API, asking it once."""
        if not self._route.is_direct(way):
            return _Shortcuts()
        if self._known[0] != way.base_url:
            answer = {}
            with suppress(ClouditiaError):
                answer = way.call("GET", "/pod/counter/")
            found = _Shortcuts(str(answer.get("path") or ""), answer.get("port"))
            self._known = (way.base_url, found)
        return self._known[1]


def _require(answer: Mapping[str, Any]) -> None:
    if answer.get("refused"):
        raise ValueTransferError(str(answer["refused"]))
