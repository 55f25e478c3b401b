"""Variables through the agent: in pieces that the service's requests can carry."""

from __future__ import annotations

import contextlib
import secrets
from typing import Any

from clouditia_jupyter.client.agent.lines import Answer, Lines, TruncatedError
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import APIError, ClouditiaError, SessionLostError, ValueTransferError

#: Where the service does not say how large a piece may be.
_DEFAULT_PIECE = 1 << 16
_LARGEST_ANSWER = 1 << 20
#: How long one request waits for the kernel, which may be busy with a cell, in seconds.
_POLL = 15.0


class Transfers:
    """Values on their way between this client and the cells of a session."""

    def __init__(self, platform: Transport, lines: Lines) -> None:
        self._platform = platform
        self._lines = lines
        self._piece = 0
        self._largest = _LARGEST_ANSWER

    def push(self, name: str, kind: str, data: bytes) -> None:
        """Bind ``name`` to the value that ``data`` encodes in the format ``kind``."""
        transfer = secrets.token_hex(16)
        piece = self._piece_size()
        try:
            for offset in range(0, max(len(data), 1), piece):
                head = {"op": "write", "transfer": transfer, "offset": offset}
                self._exchange(head, data[offset : offset + piece])
            self._task(transfer, {"op": "bind", "name": name, "format": kind})
        finally:
            self._drop(transfer)

    def pull(self, name: str, allow_pickle: bool) -> tuple[str, bytes]:
        """Return the format and the bytes of the variable ``name``."""
        transfer = secrets.token_hex(16)
        pieces: list[bytes] = []
        try:
            command = {"op": "fetch", "name": name, "allow_pickle": allow_pickle}
            kind = str(self._task(transfer, command)["format"])
            size = 0
            while piece := self._fetch(transfer, size):
                pieces.append(piece)
                size += len(piece)
        finally:
            self._drop(transfer)
        return kind, b"".join(pieces)

    def look_up(self, names: list[str], modules: dict[str, str]) -> dict[str, Any]:
        """Say which names the cells have, and import modules that they lack."""
        command = {"op": "look_up", "names": names, "modules": modules}
        return self._task(secrets.token_hex(16), command)

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
        if "refused" in result:
            raise ValueTransferError(str(result["refused"]))
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
