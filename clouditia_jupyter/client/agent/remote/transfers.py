"""Values in passing: files that a client fills or empties piece by piece."""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path

_NAME = re.compile(r"[0-9a-f]{32}")


class Transfers:
    """A private folder with a file for each value on its way."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="clouditia-")

    def path(self, transfer: str) -> Path:
        """Return the file of a transfer, which a client names by 32 hexadecimal digits."""
        if not _NAME.fullmatch(transfer):
            raise ValueError(f"{transfer!r} is no transfer")
        return Path(self._folder.name) / transfer

    def write(self, transfer: str, offset: int, data: bytes) -> None:
        """Put one piece in its place; doing so twice is harmless."""
        path = self.path(transfer)
        path.touch(0o600)
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    def read(self, transfer: str, offset: int, limit: int) -> bytes:
        """Return one piece."""
        with self.path(transfer).open("rb") as file:
            file.seek(offset)
            return file.read(limit)

    def drop(self, transfer: str) -> None:
        """Forget a transfer."""
        with contextlib.suppress(FileNotFoundError):
            self.path(transfer).unlink()
