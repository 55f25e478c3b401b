"""Parcels between processes of one user on one machine: memory, handed over by its descriptor.

The memory has no name in any file system: when the last process that holds it is gone, however it
went, so is the memory. It is sealed before it is handed over, so whoever maps it knows that it will
neither change nor shrink. A socket that only the user can reach, with a peer of the same user at
its other end, proves that both are on one machine; where anything about it is not so, parcels take
the network.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
from collections.abc import Sequence
from pathlib import Path

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values.sections import Buffer

#: What a request and its answer have at most, in bytes.
LONGEST = 256
OK, NONE = b"ok", b"none"
#: The operations: offer a parcel while the connection lasts; leave one there; take one.
OFFER, LEAVE, TAKE = b"offer", b"leave", b"take"

_SECONDS = 10.0
_MOST_PARTS = 512


class NoHandoverError(Exception):
    """Memory cannot be handed over between these two processes."""


def sealed(parts: Sequence[Buffer]) -> int:
    """Return a descriptor of memory that holds the parts and cannot be changed any more.

    Raises
    ------
    NoHandoverError
        If this system has no such memory.
    OSError
        If there is not enough of it.
    """
    fd = memory()
    try:
        write(fd, parts)
        seal(fd)
    except BaseException:
        os.close(fd)
        raise
    return fd


def memory() -> int:
    """Return a descriptor of memory that is empty, to be written and then sealed.

    Raises
    ------
    NoHandoverError
        If this system has no such memory.
    """
    if not hasattr(os, "memfd_create"):
        raise NoHandoverError("no sealed memory here")
    return os.memfd_create("clouditia", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """Return a message and the descriptors that came with it, at most one."""
    # a program that is started in this moment must not inherit them
    message, fds, _, _ = socket.recv_fds(connection, LONGEST, 1, socket.MSG_CMSG_CLOEXEC)
    return message, fds


def write(fd: int, parts: Sequence[Buffer]) -> None:
    """Write all parts to a file."""
    views = [memoryview(part).cast("B") for part in parts if memoryview(part).nbytes]
    first = 0
    while first < len(views):
        count = os.writev(fd, views[first : first + _MOST_PARTS])
        while first < len(views) and count >= views[first].nbytes:
            count -= views[first].nbytes
            first += 1
        if count:
            views[first] = views[first][count:]


def seal(fd: int) -> None:
    """Make memory immutable, for whoever holds it."""
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _seals())


def check(fd: int) -> None:
    """Refuse memory that its giver could still change, or that is none.

    Raises
    ------
    ValueTransferError
        If that is so.
    """
    try:
        whole = fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _seals() == _seals()
    except OSError:
        whole = False
    if not whole:
        raise ValueTransferError("The memory that was handed over is not sealed.")


def _seals() -> int:
    return fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def is_own(connection: socket.socket) -> bool:
    """Say whether the process at the other end is this user's."""
    size = struct.calcsize("3i")
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    return bool(struct.unpack("3i", credentials)[1] == os.getuid())


class Counter:
    """A connection to where parcels are handed over.

    Parameters
    ----------
    path
        The socket's.

    Raises
    ------
    NoHandoverError
        If there is none at ``path`` that is certainly this user's, on this machine.
    """

    def __init__(self, path: str) -> None:
        if not hasattr(socket, "SO_PEERCRED"):
            raise NoHandoverError("no way to know who is at the other end")
        try:
            for own, is_kind in ((Path(path).parent, stat.S_ISDIR), (Path(path), stat.S_ISSOCK)):
                facts = own.lstat()
                if facts.st_uid != os.getuid() or not is_kind(facts.st_mode):
                    raise NoHandoverError(f"{own} is somebody else's")
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise NoHandoverError(str(error)) from error
        try:
            self._socket.settimeout(_SECONDS)
            self._socket.connect(path)
            if not is_own(self._socket):
                raise NoHandoverError("the other end is somebody else's")
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError):
                raise NoHandoverError(str(error)) from error
            raise

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave; what was offered is withdrawn, if nobody has taken it."""
        self._socket.close()

    def offer(self, parcel: str, fd: int) -> None:
        """Have a parcel ready for who takes it, as long as this connection lasts."""
        self._ask(OFFER, parcel, fd)

    def leave(self, parcel: str, fd: int) -> None:
        """Have a parcel ready for who takes it soon."""
        self._ask(LEAVE, parcel, fd)

    def take(self, parcel: str) -> int | None:
        """Return a descriptor of a parcel's memory; None where it is gone.

        Raises
        ------
        ValueTransferError
            If it is not sealed.
        """
        fd = self._ask(TAKE, parcel)
        if fd is not None:
            try:
                check(fd)
            except BaseException:
                os.close(fd)
                raise
        return fd

    def _ask(self, operation: bytes, parcel: str, fd: int | None = None) -> int | None:
        message = operation + b" " + parcel.encode()
        try:
            socket.send_fds(self._socket, [message], [] if fd is None else [fd])
            answer, fds = receive(self._socket)
        except OSError as error:
            raise NoHandoverError(str(error)) from error
        if answer not in (OK, NONE):
            for one in fds:
                os.close(one)
            raise NoHandoverError("the other end went away")
        return fds[0] if fds else None
