"""Parcels in passing: variables on their way between a client and the session's kernel.

A parcel is memory without a name, and the pod keeps its descriptor: over HTTP, clients fill and
empty it; a process of the same user on the same machine gives and takes the descriptor itself, as
the session's kernel always does. Nothing is left when the pod is gone.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clouditia_jupyter.errors import InvalidRequestError, ValueTransferError
from clouditia_jupyter.values import handover

#: The socket's name in the session's runtime folder.
SOCKET = "parcels"
#: A parcel that nobody fetches for so long is dropped.
_PATIENCE = 60.0
PARCEL_ID = re.compile(r"[0-9a-f]{32}")


class Parcels:
    """The parcels of one session, and the counter where they are handed over.

    Parameters
    ----------
    runtime
        The session's runtime folder, which only its user can enter.
    """

    def __init__(self, runtime: Path) -> None:
        self.path = runtime / SOCKET
        self._fds: dict[str, int] = {}
        self._held: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._guests: dict[socket.socket, set[str]] = {}
        self._listener: socket.socket | None = None
        self._also: list[Callable[[], None]] = []

    def closing(self, act: Callable[[], None]) -> None:
        """Have something done when this is closed."""
        self._also.append(act)

    def open(self) -> None:
        """Begin to hand over."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def close(self) -> None:
        """Drop everything."""
        for act in self._also:
            act()
        for guest in list(self._guests):
            self._part(guest)
        for parcel in list(self._fds):
            self.drop(parcel)
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()

    def add(self, parcel: str, fd: int) -> None:
        """Keep the parcel in ``fd``, which is the pod's from now on."""
        self.drop(parcel)
        self._fds[parcel] = fd
        self._expect(parcel)

    def find(self, parcel: str) -> int:
        """Return the parcel's descriptor.

        Raises
        ------
        InvalidRequestError
            If there is none.
        """
        try:
            return self._fds[parcel]
        except KeyError:
            raise InvalidRequestError(
                "This parcel is gone: it was fetched, or its time was up. Send it again."
            ) from None

    def drop(self, parcel: str) -> None:
        """Forget a parcel."""
        fd = self._fds.pop(parcel, None)
        if fd is not None:
            os.close(fd)
        timer = self._timers.pop(parcel, None)
        if timer is not None:
            timer.cancel()

    @contextmanager
    def held(self, parcel: str) -> Iterator[None]:
        """Keep a parcel that is in use past its time, and drop it then."""
        self.hold(parcel)
        try:
            yield
        finally:
            self.release(parcel)

    def hold(self, parcel: str) -> None:
        """Keep a parcel until it is released as often as it was held."""
        self._held[parcel] = self._held.get(parcel, 0) + 1

    def release(self, parcel: str) -> None:
        """Drop a parcel that nobody else holds."""
        self._held[parcel] -= 1
        if not self._held[parcel]:
            del self._held[parcel]
            self.drop(parcel)

    def _expect(self, parcel: str) -> None:
        loop = asyncio.get_running_loop()
        self._timers[parcel] = loop.call_later(_PATIENCE, self._expire, parcel)

    def _expire(self, parcel: str) -> None:
        waits = any(parcel in offered for offered in self._guests.values())
        if waits or parcel in self._held:
            self._expect(parcel)
        else:
            self.drop(parcel)

    def _accept(self) -> None:
        assert self._listener is not None
        with suppress(OSError):
            guest, _ = self._listener.accept()
            if not handover.is_own(guest):
                guest.close()
                return
            guest.setblocking(False)
            self._guests[guest] = set()
            asyncio.get_running_loop().add_reader(guest, self._hear, guest)

    def _hear(self, guest: socket.socket) -> None:
        try:
            message, fds = handover.receive(guest)
        except BlockingIOError:
            return
        except OSError:
            message, fds = b"", []
        operation, _, parcel = message.decode("ascii", "replace").partition(" ")
        if not PARCEL_ID.fullmatch(parcel) or not self._answer(
            guest, operation.encode(), parcel, fds
        ):
            for fd in fds:
                os.close(fd)
            self._part(guest)

    def _answer(self, guest: socket.socket, operation: bytes, parcel: str, fds: list[int]) -> bool:
        """Do what a guest asks; return whether it made sense."""
        answer, gift = handover.OK, []
        if operation in (handover.OFFER, handover.LEAVE) and fds:
            try:
                handover.check(fds[0])
            except ValueTransferError:
                return False
            self.add(parcel, fds[0])
            if operation == handover.OFFER:
                self._guests[guest].add(parcel)
        elif operation == handover.TAKE and not fds:
            gift = [self._fds[parcel]] if parcel in self._fds else []
            answer = handover.OK if gift else handover.NONE
        else:
            return False
        try:
            socket.send_fds(guest, [answer], gift)
        except OSError:
            self._part(guest)
            return True
        if gift:  # by whom it was offered has no more need of it
            self.drop(parcel)
        return True

    def _part(self, guest: socket.socket) -> None:
        for parcel in self._guests.pop(guest, ()):
            if parcel not in self._held:
                self.drop(parcel)
        asyncio.get_running_loop().remove_reader(guest)
        guest.close()


def no_room(error: OSError) -> InvalidRequestError:
    """Return what is said where the machine did not take a parcel."""
    return InvalidRequestError(
        f"The session's machine has no room for that ({error.strerror}). Send less at once."
    )
