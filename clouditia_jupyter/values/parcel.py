"""A parcel: named values in one body, which arrive all together or not at all."""

from __future__ import annotations

import difflib
import json
import mmap
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Optional

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values import Encoded, decode, encode
from clouditia_jupyter.values.home import Home
from clouditia_jupyter.values.sections import BIG, FIXED_SIZE, PAGE, Buffer, Memory, Table, join

#: What IPython puts among the user's variables.
_NOT_USERS = frozenset({"In", "Out", "exit", "get_ipython", "open", "quit"})


def pack(values: Mapping[str, Any], *, allow_pickle: bool) -> list[Buffer]:
    """Return the parts of the parcel; what is big in the values is not copied.

    A value that is :class:`Encoded` already is taken as it is.

    Raises
    ------
    ValueTransferError
        If one of them cannot cross; the message begins with its name.
    """
    labels, sections = [], []
    for name, value in values.items():
        try:
            if not isinstance(value, Encoded):
                value = encode(value, allow_pickle=allow_pickle)
        except ValueTransferError as error:
            raise ValueTransferError(f"{name}: {error}") from error
        labels.append([name, value.format])
        sections.append(value.parts)
    return join(json.dumps(labels).encode(), sections)


def chosen(namespace: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the variables of these names.

    Raises
    ------
    ValueTransferError
        If there is none of a name; the message lists near ones.
    """
    for name in names:
        if name not in namespace:
            public = [key for key in namespace if key[:1] != "_" and key not in _NOT_USERS]
            near = ", ".join(difflib.get_close_matches(name, public, n=5, cutoff=0.5))
            hint = f" Near names: {near}." if near else " Run the cell there that makes it first."
            raise ValueTransferError(f"The session has no variable {name!r}.{hint}")
    return {name: namespace[name] for name in names}


class Source:
    """A parcel's bytes, taken from front to back; each big section has memory of its own.

    So one value can be dropped while another lives.
    """

    #: In bytes.
    size = 0

    def take(self, start: int, length: int) -> Memory:
        """Return writable memory that holds these bytes."""
        raise NotImplementedError


class File(Source):
    """A parcel in a file, whose big sections are mapped: nothing is read before it is used.

    Writing to what is mapped changes a copy, page by page. The file must keep its size.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = os.fstat(fd).st_size

    def take(self, start: int, length: int) -> Memory:
        """Return writable memory that holds these bytes."""
        if length >= BIG and start % PAGE == 0:
            return memoryview(mmap.mmap(self._fd, length, access=mmap.ACCESS_COPY, offset=start))
        return bytearray(os.pread(self._fd, length, start))


class Stream(Source):
    """A parcel that is read as it comes, straight to where its values will stay.

    Parameters
    ----------
    read_into
        Fills a part of the memory that it is given, from its beginning; returns how many bytes.
    size
        Of the whole parcel, in bytes.
    """

    def __init__(self, read_into: Callable[[memoryview], int], size: int) -> None:
        self._read_into = read_into
        self._position = 0
        self.size = size

    def take(self, start: int, length: int) -> Memory:
        """Return writable memory that holds these bytes."""
        self._fill(memoryview(bytearray(start - self._position)))
        if length < BIG:
            memory: Memory = bytearray(length)
        else:
            # unlike bytearray's it is not filled with zeros first
            pages = mmap.mmap(-1, length)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                pages.madvise(mmap.MADV_HUGEPAGE)
            memory = memoryview(pages)
        self._fill(memoryview(memory))
        return memory

    def _fill(self, view: memoryview) -> None:
        self._position += view.nbytes
        while view:
            count = self._read_into(view)
            if not count:
                raise EOFError("the parcel ends too soon")
            view = view[count:]


def unpack_into(namespace: dict[str, Any], source: Source) -> None:
    """Bind the values of a parcel, or none of them; its functions are at home there.

    Raises
    ------
    ValueTransferError
        As of :func:`unpack`. What the values' own code raises comes as it is.
    """
    home = Home(namespace)
    try:
        values = unpack(source, allow_pickle=True, home=home)
    except BaseException:
        home.undo()
        raise
    namespace.update(values)


def unpack(
    source: Source,
    *,
    allow_pickle: bool = False,
    home: Optional[Home] = None,  # noqa: UP045 (3.9)
) -> dict[str, Any]:
    """Return the values of a parcel by name.

    Raises
    ------
    ValueTransferError
        If there is no parcel in ``source``, or a value in it is refused.
    """
    if source.size < FIXED_SIZE:
        raise ValueTransferError("What came is no parcel; versions may not match.")
    table = Table(bytes(source.take(0, FIXED_SIZE)))
    start, length = table.lengths
    if start + length > source.size:
        raise ValueTransferError("What came is no whole parcel.")
    table.complete(source.take(start, length), source.size)
    labels = json.loads(bytes(source.take(*table.head)))
    if len(labels) != len(table.sections):
        raise ValueTransferError("What came is no parcel; versions may not match.")
    values = {}
    for (name, fmt), place in zip(labels, table.sections):  # noqa: B905 (3.9)
        try:
            values[str(name)] = decode(
                fmt, source.take(*place), allow_pickle=allow_pickle, home=home
            )
        except ValueTransferError as error:
            raise ValueTransferError(f"{name}: {error}") from error
    return values
