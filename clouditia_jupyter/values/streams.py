"""Arrow streams one behind the other: written without copies, read with care.

pyarrow makes an object of a registered extension type as it reads a schema, and some libraries
register types that unpickle what the schema says. So no schema that names one is let near it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values.sections import Buffer, Memory

_NOTE = b"clouditia"
_CONTINUES = b"\xff\xff\xff\xff"
_EXTENSION = b"ARROW:extension"


class Sink:
    """Takes arrays of any lengths; those of one length share a stream."""

    def __init__(self) -> None:
        self._groups: dict[int, list[Any]] = {}

    def add(self, array: Any) -> list[int]:
        """Take an array and return where it will be found: its length's number, and its own."""
        group = self._groups.setdefault(len(array), [])
        group.append(array)
        return [list(self._groups).index(len(array)), len(group) - 1]

    def parts(self, note: bytes) -> list[Buffer]:
        """Return the parts of all streams; big buffers among them are the arrays' own."""
        collected = _Collected()
        for number, arrays in enumerate(list(self._groups.values()) or [[]]):
            names = [str(place) for place in range(len(arrays))]
            fields = [pa.field(n, a.type) for n, a in zip(names, arrays)]  # noqa: B905 (3.9)
            schema = pa.schema(fields, metadata=None if number else {_NOTE: note})
            with pa.ipc.new_stream(pa.PythonFile(collected, "w"), schema) as stream:
                if arrays:
                    stream.write_batch(pa.record_batch(arrays, schema=schema))
        return collected.parts


class _Collected:
    """What pyarrow takes for a file; it hands big buffers over as they are."""

    closed = False

    def __init__(self) -> None:
        self.parts: list[Buffer] = []
        self._size = 0

    def write(self, data: Any) -> int:
        part = memoryview(data)
        self.parts.append(part)
        self._size += part.nbytes
        return part.nbytes

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        pass


class Source:
    """What was written, read again.

    Attributes
    ----------
    note
        The note's JSON.

    Raises
    ------
    ValueTransferError
        If a schema names an extension type.
    """

    def __init__(self, data: Memory) -> None:
        self._memory = np.frombuffer(data, np.uint8)
        self._batches: list[Any] = []
        self.note = bytearray(b"{}")
        buffer = pa.py_buffer(data)
        position = 0
        while position < buffer.size:
            _check_schema(memoryview(data)[position:])
            file = pa.BufferReader(buffer.slice(position))
            stream = pa.ipc.open_stream(file)
            if not position:
                self.note = bytearray((stream.schema.metadata or {})[_NOTE])
            batches = list(stream)  # to its end mark
            # what an array says of itself may lead out of its buffers
            for batch in batches:
                batch.validate(full=True)
            self._batches += batches[:1]
            position += file.tell()

    def array(self, place: list[int]) -> Any:
        """Return an array as Arrow knows it."""
        group, number = place
        return self._batches[group].column(number)

    def numbers(self, place: list[int], dtype: Any) -> Any:
        """Return an array without missing values as NumPy's, writable, a view where it can be."""
        array = self.array(place)
        buffer, size = array.buffers()[1], len(array) * dtype.itemsize
        if not size:
            return np.zeros(len(array), dtype)
        start = array.offset * dtype.itemsize
        # Arrow would make it read-only, though the memory is nobody else's
        offset = buffer.address - self._memory.ctypes.data + start
        if offset >= 0 and offset + size <= self._memory.nbytes:
            return self._memory[offset : offset + size].view(dtype)
        return np.frombuffer(buffer, dtype, len(array), start).copy()


def _check_schema(data: memoryview) -> None:
    length = int.from_bytes(data[4:8], "little")
    # what pyarrow reads as the schema is exactly this, or it is none of ours
    if bytes(data[:4]) != _CONTINUES or length > len(data) - 8:
        raise ValueTransferError("What came is no Arrow stream.")
    if _EXTENSION in bytes(data[8 : 8 + length]):
        raise ValueTransferError(
            "The session sent an Arrow extension type, which could run code here. "
            "Fetch something plain instead (.to_numpy(), .astype(object))."
        )
