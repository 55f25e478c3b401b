"""One body that holds several: a table of lengths, a head, and aligned sections behind it.

::

    b"CLDT" | count (u32) | length of the head (u64) | lengths of the sections (u64 each)
    | the head | each section at the next multiple of 64, big ones of 4096

Little-endian. Whoever reads finds every section without touching another one, and can map a big
one from a file by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Union

from clouditia_jupyter.errors import ValueTransferError

#: What a section is written from; anything that ``memoryview`` takes.
Buffer = Union[bytes, bytearray, memoryview]  # noqa: UP007 (3.9)
#: What a value is read from.
Memory = Union[bytearray, memoryview]  # noqa: UP007 (3.9)

_MAGIC = b"CLDT"
_FIXED = struct.Struct("<4sIQ")
#: Bytes that are read first: they say how long the rest of the table is.
FIXED_SIZE = _FIXED.size
#: A section of so many bytes begins on a page of its own.
BIG = 1 << 20
PAGE = 4096
_ALIGNMENT = 64
_MOST = 1 << 24


def size_of(parts: Sequence[Buffer]) -> int:
    """Return how many bytes the parts have together."""
    return sum(memoryview(part).nbytes for part in parts)


def join(head: bytes, sections: Sequence[Sequence[Buffer]]) -> list[Buffer]:
    """Return the parts of the body; those of the sections are not copied."""
    sizes = [size_of(section) for section in sections]
    table = _FIXED.pack(_MAGIC, len(sizes), len(head)) + struct.pack(f"<{len(sizes)}Q", *sizes)
    parts: list[Buffer] = [table, head]
    position = len(table) + len(head)
    for section, (start, size) in zip(sections, _places(position, sizes)):  # noqa: B905 (3.9)
        parts.append(bytes(start - position))
        parts += section
        position = start + size
    return [part for part in parts if memoryview(part).nbytes]


class Table:
    """Where everything is in a body.

    Attributes
    ----------
    head
        Start and length of the head.
    sections
        Start and length of each section.
    """

    def __init__(self, fixed: bytes) -> None:
        magic, self._count, self._head = _FIXED.unpack(fixed)
        if magic != _MAGIC or self._count > _MOST:
            raise ValueTransferError("What came has no table of contents; versions may not match.")
        #: Start and length of the lengths.
        self.lengths = (FIXED_SIZE, 8 * self._count)

    def complete(self, lengths: Memory, size: int) -> None:
        """Learn the lengths of a body of ``size`` bytes."""
        sizes = struct.unpack(f"<{self._count}Q", lengths)
        start = FIXED_SIZE + 8 * self._count
        self.head = (start, self._head)
        self.sections = list(_places(start + self._head, sizes))
        last, length = self.sections[-1] if self.sections else self.head
        if last + length != size:
            raise ValueTransferError(f"{size} bytes came where there should be {last + length}.")


def split(data: Memory) -> tuple[Memory, list[Memory]]:
    """Return the head and the sections of a body, as views of it."""
    view = memoryview(data)
    table = Table(bytes(view[:FIXED_SIZE]))
    start, length = table.lengths
    table.complete(view[start : start + length], view.nbytes)
    start, length = table.head
    return view[start : start + length], [view[s : s + n] for s, n in table.sections]


def _places(position: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    for size in sizes:
        step = PAGE if size >= BIG else _ALIGNMENT
        start = -(-position // step) * step
        yield start, size
        position = start + size
