"""Parcels through the agent: in pieces that the service's requests can carry."""

from __future__ import annotations

import contextlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import httpx

from clouditia_jupyter.client.agent.line import Answer, TruncatedError
from clouditia_jupyter.client.agent.lines import Lines
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import APIError, ClouditiaError, SessionLostError, ValueTransferError

T = TypeVar("T")
R = TypeVar("R")

#: Where the service does not say how large a piece may be.
_DEFAULT_PIECE = 1 << 16
_LARGEST_ANSWER = 1 << 20
#: How many pieces of a parcel are under way at a time, where it is larger than that.
_LANES, _MUCH = 3, 1 << 20
#: How long one request waits for the kernel, which may be busy with a cell, in seconds.
_POLL = 15.0


class Transfers:
    """Parcels on their way between this client and the cells of a session."""

    def __init__(self, platform: Transport, lines: Lines) -> None:
        self._platform = platform
        self._lines = lines
        self._sizes: dict[str, int] = {}
        self._piece = 0
        self._largest = _LARGEST_ANSWER

    def send(self, parcel: str, body: Iterable[bytes], size: int) -> None:
        """Send a parcel's bytes, which are ``size``."""

        def write(piece: tuple[int, bytes]) -> None:
            offset, data = piece
            self._exchange({"op": "write", "transfer": parcel, "offset": offset}, data)

        try:
            for _ in self._at_once(write, _in_pieces(body, self._piece_size()), size):
                pass
        except BaseException:
            self._drop(parcel)
            raise

    def _at_once(self, work: Callable[[T], R], items: Iterable[T], size: int) -> Iterator[R]:
        """Yield what ``work`` makes of each item, in order, several at a time where there is much.

        A piece takes the time of a round trip, however short it is.
        """
        lanes = _LANES if size > _MUCH else 1
        with ThreadPoolExecutor(lanes, "clouditia-pieces") as pool:
            under_way: deque[Future[R]] = deque()
            try:
                for item in items:
                    under_way.append(pool.submit(work, item))
                    if len(under_way) > 2 * lanes:
                        yield under_way.popleft().result()
                while under_way:
                    yield under_way.popleft().result()
            finally:
                for waiting in under_way:
                    waiting.cancel()

    def bind(self, parcel: str) -> dict[str, Any]:
        """Bind a parcel's values; say why not, where that is refused."""
        try:
            return self._task(parcel, {"op": "bind"})
        finally:
            self._drop(parcel)

    def fetch(self, names: list[str], parcel: str, allow_pickle: bool) -> dict[str, Any]:
        """Have a parcel made of variables; say why not, where that is refused."""
        command = {"op": "fetch", "names": names, "allow_pickle": allow_pickle}
        result = self._task(parcel, command)
        self._sizes[parcel] = int(result.get("size", 0))
        return result

    def receive(self, parcel: str) -> tuple[int, httpx.SyncByteStream]:
        """Return a parcel's size, and its bytes as they come."""
        size = self._sizes.pop(parcel)
        return size, _Pieces(self._pieces(parcel, size))

    def _pieces(self, parcel: str, size: int) -> Iterator[bytes]:
        starts = range(0, size, _LARGEST_ANSWER)
        try:
            yield from self._at_once(lambda start: self._piece_at(parcel, start), starts, size)
        finally:
            self._drop(parcel)

    def _piece_at(self, parcel: str, start: int) -> bytes:
        """Return the bytes from ``start`` to where the next piece begins, or to the end."""
        parts: list[bytes] = []
        have = 0
        while have < _LARGEST_ANSWER:
            part = self._fetch(parcel, start + have, _LARGEST_ANSWER - have)
            if not part:
                break
            parts.append(part)
            have += len(part)
        return b"".join(parts)

    def look_up(self, names: list[str], modules: dict[str, str]) -> dict[str, Any]:
        """Say which names the cells have, and import modules that they lack."""
        command = {"op": "look_up", "names": names, "modules": modules}
        result = self._task(secrets.token_hex(16), command)
        if "refused" in result:
            raise ValueTransferError(str(result["refused"]))
        return result

    def _fetch(self, transfer: str, offset: int, most: int) -> bytes:
        while True:
            limit = min(most, self._largest)
            head = {"op": "fetch", "transfer": transfer, "offset": offset, "limit": limit}
            try:
                return self._exchange(head).body
            except TruncatedError:
                self._largest = max(limit // 2, 1 << 12)

    def _task(self, transfer: str, command: dict[str, Any]) -> dict[str, Any]:
        head = {"op": "task", "id": transfer, "command": command, "wait": _POLL}
        while (result := self._exchange(head, wait=_POLL).head.get("result")) is None:
            pass  # the kernel is busy
        if "lost" in result:
            raise SessionLostError(str(result["lost"]))
        return dict(result)

    def _exchange(self, head: dict[str, Any], body: bytes = b"", *, wait: float = 0.0) -> Answer:
        answer = self._lines.exchange(head, body, wait=wait)
        if answer.head["status"] != 200:
            raise APIError(str(answer.head.get("error")), status=answer.head["status"])
        return answer

    def _drop(self, transfer: str) -> None:
        # where that fails, the session forgets it when it ends
        with contextlib.suppress(ClouditiaError, TruncatedError):
            self._lines.exchange({"op": "drop", "transfer": transfer})

    def _piece_size(self) -> int:
        if not self._piece:
            answer = self._platform.call("GET", "/api/upload-config/")
            self._piece = int(answer.get("chunk_size_bytes") or _DEFAULT_PIECE)
        return self._piece


class _Pieces(httpx.SyncByteStream):
    """A body whose pieces come one by one."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces


def _in_pieces(body: Iterable[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    """Cut or join what comes into pieces of ``size`` bytes, each with its place."""
    held = bytearray()
    start = 0
    for chunk in body:
        view = memoryview(chunk)
        while view:
            taken = view[: size - len(held)]
            held += taken
            view = view[len(taken) :]
            if len(held) == size:
                yield start, bytes(held)
                start += size
                held.clear()
    if held:
        yield start, bytes(held)
