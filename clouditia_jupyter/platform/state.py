"""The state folder: one platform at a time, where it is, and the account key."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TextIO

from clouditia_jupyter.errors import ConfigurationError
from clouditia_jupyter.platform.key_format import ACCOUNT_PREFIX, new_key

_PRIVATE_FILE = 0o600
_PRIVATE_FOLDER = 0o700
#: Seconds that a platform which answers no more, or not yet, may take about it.
_TURNOVER = 30.0


class StateFolder:
    """A platform's folder, locked for as long as the ``with`` block lasts.

    Parameters
    ----------
    path
        Made if missing, for its user only.

    Raises
    ------
    ConfigurationError
        On entry, if the folder cannot be written or another platform serves it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().absolute()
        self._lock: TextIO | None = None

    def __enter__(self) -> StateFolder:
        """Make the folder where it is missing, and lock it; one that is ending is waited for."""
        self.make()
        lock = (self.path / "platform.lock").open("a+", encoding="utf-8")
        deadline = time.monotonic() + _TURNOVER
        while not _locked(lock):
            if self._announcement.exists() or time.monotonic() > deadline:
                lock.seek(0)
                holder = lock.read().strip() or "?"
                lock.close()
                raise ConfigurationError(
                    f"Another platform (process {holder}) already serves {self.path}; "
                    f"use that one, end it with `kill {holder}`, or choose another --state folder."
                )
            time.sleep(0.02)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let the next platform have the folder."""
        self.withdraw()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def make(self) -> None:
        """Make the folder where it is missing, and see that it can be written."""
        try:
            self.path.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise ConfigurationError(
                f"The state folder {self.path} cannot be written ({error.strerror}); "
                "make it writable for you, or choose another one with --state."
            ) from error

    def database_url(self) -> str:
        """Return the URL of this folder's SQLite file, made for its user alone: it has tokens."""
        file = self.path / "platform.db"
        file.touch(_PRIVATE_FILE)
        return f"sqlite:///{file}"

    def account_key(self) -> str:
        """Return the account's key; made the first time and kept for this user alone."""
        file = self.path / "account.key"
        with contextlib.suppress(FileNotFoundError):
            key = file.read_text(encoding="utf-8").strip()
            if key.startswith(ACCOUNT_PREFIX) and len(key) > len(ACCOUNT_PREFIX):
                return key
            raise ConfigurationError(
                f"The file {file} holds no account key; remove it, and a new key is made."
            )
        key = new_key(ACCOUNT_PREFIX)
        self._write(file, key + "\n")
        return key

    def announce(self, where: Mapping[str, object]) -> None:
        """Write where the platform answers to ``platform.json``, whole or not at all."""
        self._write(self._announcement, json.dumps(where) + "\n")

    def is_announced(self, where: Mapping[str, object]) -> bool:
        """Return whether ``platform.json`` says so."""
        with contextlib.suppress(OSError, ValueError):
            return bool(json.loads(self._announcement.read_text(encoding="utf-8")) == where)
        return False

    def withdraw(self) -> None:
        """Remove ``platform.json``; only the platform that holds the lock has written one."""
        if self._lock is not None:
            self._announcement.unlink(missing_ok=True)

    @property
    def _announcement(self) -> Path:
        return self.path / "platform.json"

    def _write(self, file: Path, text: str) -> None:
        handle, name = tempfile.mkstemp(dir=self.path, prefix=f".{file.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                os.fchmod(handle, _PRIVATE_FILE)
                stream.write(text)
                stream.flush()
                os.fsync(handle)
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _locked(file: TextIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
