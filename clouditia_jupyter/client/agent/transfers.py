"""Parcels through the agent: in pieces that the service's requests can carry."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import httpx

from clouditia_jupyter.client.agent.lines import Answer, Lines, TruncatedError
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import APIError, ClouditiaError, SessionLostError, ValueTransferError

#: Where the service does not say how large a piece may be.
_DEFAULT_PIECE = 1 << 16
_LARGEST_ANSWER = 1 << 20
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

    def send(self, parcel: str, body: Iterable[bytes]) -> None:
        """Send a parcel's bytes."""
        size = 0
        try:
            for piece in _in_pieces(body, self._piece_size()):
                self._exchange({"op": "write", "transfer": parcel, "offset": size}, piece)
                size += len(piece)
        except BaseException:
            self._drop(parcel)
            raise

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
        return self._sizes.pop(parcel), _Pieces(self._pieces(parcel))

    def _pieces(self, parcel: str) -> Iterator[bytes]:
        size = 0
        try:
            while piece := self._fetch(parcel, size):
                yield piece
                size += len(piece)
        finally:
            self._drop(parcel)

    def look_up(self, names: list[str], modules: dict[str, str]) -> dict[str, Any]:
        """Say which names the cells have, and import modules that they lack."""
        command = {"op": "look_up", "names": names, "modules": modules}
        result = self._task(secrets.token_hex(16), command)
        if "refused" in result:
            raise ValueTransferError(str(result["refused"]))
        return result

    def _fetch(self, transfer: str, offset: int) -> bytes:
        while True:
            head = {"op": "fetch", "transfer": transfer, "offset": offset, "limit": self._largest}
            try:
                return self._exchange(head).body
            except TruncatedError:
                self._largest = max(self._largest // 2, 1 << 12)

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


def _in_pieces(body: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Cut or join what comes into pieces of ``size`` bytes; at least one, which may be empty."""
    held = bytearray()
    sent = False
    for chunk in body:
        view = memoryview(chunk)
        while view:
            taken = view[: size - len(held)]
            held += taken
            view = view[len(taken) :]
            if len(held) == size:
                yield bytes(held)
                held.clear()
                sent = True
    if held or not sent:
        yield bytes(held)
