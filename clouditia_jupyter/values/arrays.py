"""NumPy arrays as npy, exactly as ``numpy.save`` writes it, and NumPy's other types in the tree."""

from __future__ import annotations

import ast
import io
import math
import struct
import warnings
from typing import Any

import numpy as np

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values.kinds import Kind
from clouditia_jupyter.values.sections import Buffer, Memory
from clouditia_jupyter.values.tree import Reader, UnknownError, Writer

#: A header that is longer than this is none that anybody's array needs.
_LONGEST_HEADER = 1 << 20
#: Where the text of a header begins in version 3 of the format.
_START_3 = 12


def is_plain(value: Any) -> bool:
    """Say whether npy carries all of ``value``: an array of numbers, dates, texts or records."""
    # a subclass (masked, matrix) would come back as its base: not this value any more
    return type(value) in (np.ndarray, np.memmap) and not value.dtype.hasobject


def dump(array: Any) -> list[Buffer]:
    """Return the array's header, and its memory; where that has gaps, a copy of it."""
    facts = np.lib.format.header_data_from_array_1_0(array)
    return [_header(facts), raw(array.T if facts["fortran_order"] else array)]


def _header(facts: dict[str, Any]) -> bytes:
    header = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # notes in a dtype's metadata are no part of it
        try:
            np.lib.format.write_array_header_1_0(header, facts)
        except UnicodeEncodeError:  # names of fields; NumPy itself shows nobody how it does this
            text = repr({key: facts[key] for key in sorted(facts)}).encode()
            text += b" " * (-(len(text) + _START_3 + 1) % 64) + b"\n"
            return np.lib.format.magic(3, 0) + struct.pack("<I", len(text)) + text
        except ValueError:  # many fields
            np.lib.format.write_array_header_2_0(header, facts)
    return header.getvalue()


def raw(array: Any) -> Buffer:
    """Return the bytes of an array in C order, which are its own memory where it has no gaps."""
    if not array.nbytes:
        return b""
    octets: Any = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return memoryview(octets)


def load(data: Memory) -> Any:
    """Return the array as a view of ``data``.

    Raises
    ------
    ValueTransferError
        If it is none, or holds objects.
    """
    view = memoryview(data)
    shape, fortran, dtype, start = _facts(view)
    if fortran:
        return of_bytes(view[start:], dtype, shape[::-1]).T
    return of_bytes(view[start:], dtype, shape)


def _facts(view: memoryview) -> tuple[tuple[int, ...], bool, Any, int]:
    """Return shape, order and dtype of an npy array, and where its data begin."""
    file = io.BytesIO(view[:_LONGEST_HEADER])
    version = np.lib.format.read_magic(file)
    if version == (3, 0):
        (length,) = struct.unpack("<I", file.read(4))
        facts = ast.literal_eval(file.read(length).decode())
        dtype = np.lib.format.descr_to_dtype(facts["descr"])
        return facts["shape"], facts["fortran_order"], dtype, file.tell()
    reading = np.lib.format
    read = reading.read_array_header_1_0 if version == (1, 0) else reading.read_array_header_2_0
    shape, fortran, dtype = read(file, max_header_size=_LONGEST_HEADER)
    return shape, fortran, dtype, file.tell()


def of_bytes(data: Memory, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Return the array that lies in ``data``, all of it."""
    size = memoryview(data).nbytes
    if dtype.hasobject:
        raise ValueTransferError("An array of objects cannot come as npy.")
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != size:
        raise ValueTransferError(f"{size} bytes came for an array of {shape} {dtype}.")
    if not size:
        return np.zeros(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape)


def _write_scalar(writer: Writer, value: Any) -> Any:
    if value.dtype.hasobject:
        raise UnknownError(type(value))
    if value.dtype.kind == "V":  # its fields are only in an npy header
        return ["", writer.leaf(dump(np.asarray(value)))]
    return [value.dtype.str, writer.leaf([value.tobytes()])]


def _read_scalar(reader: Reader, node: Any) -> Any:
    dtype, data = node[0], reader.leaf(node[1])
    return (of_bytes(data, np.dtype(str(dtype)), ()) if dtype else load(data))[()]


def _write_array(writer: Writer, value: Any) -> Any:
    return writer.leaf(dump(value)) if not value.dtype.hasobject else _write_objects(writer, value)


def _write_objects(writer: Writer, value: Any) -> Any:
    if value.dtype != object:  # records with objects in them, NumPy's own strings
        raise UnknownError(np.ndarray)
    order = "F" if value.flags.fnc else "C"
    return [list(value.shape), order, writer.items(value.reshape(-1, order=order))]


def _read_array(reader: Reader, node: Any) -> Any:
    return objects(*node) if isinstance(node, list) else load(reader.leaf(node))


def objects(shape: list[int], order: Any, items: list[Any]) -> Any:
    """Return an array of objects."""
    flat = np.empty(len(items), object)
    for place, item in enumerate(items):  # at once, NumPy would look into items that are lists
        flat[place] = item
    return flat.reshape(shape, order=order)


def _write_masked(writer: Writer, value: Any) -> Any:
    parts = [value.data, np.ma.getmaskarray(value), np.asarray(value.fill_value)]
    whole = value.mask is np.ma.nomask
    return [*(writer.leaf(dump(_plain(part))) for part in parts), whole, bool(value.hardmask)]


def _read_masked(reader: Reader, node: Any) -> Any:
    *leaves, whole, hard = node
    data, mask, fill = (load(reader.leaf(leaf)) for leaf in leaves)
    mask = np.ma.nomask if whole else mask
    return np.ma.MaskedArray(data, mask=mask, fill_value=fill[()], hard_mask=hard)


def _write_matrix(writer: Writer, value: Any) -> Any:
    return writer.leaf(dump(_plain(np.asarray(value))))


def _write_records(writer: Writer, value: Any) -> Any:
    return writer.leaf(dump(_plain(value.view(np.ndarray))))


def _plain(array: Any) -> Any:
    if not is_plain(array):
        raise UnknownError(type(array))
    return array


_SCALARS = (
    *(getattr(np, name) for name in ("bool_", "str_", "bytes_", "void", "datetime64")),
    *(np.timedelta64, np.float16, np.float32, np.float64, np.longdouble),
    *(np.complex64, np.complex128, np.clongdouble),
    *(np.int8, np.int16, np.int32, np.int64, np.longlong, np.intc),
    *(np.uint8, np.uint16, np.uint32, np.uint64, np.ulonglong, np.uintc),
)

KINDS = (
    Kind("numpy.array", np.ndarray, _write_array, _read_array),
    Kind("numpy.array", np.memmap, _write_array, _read_array),
    *(Kind("numpy.scalar", kind, _write_scalar, _read_scalar) for kind in _SCALARS),
    Kind("numpy.masked", np.ma.MaskedArray, _write_masked, _read_masked),
    Kind(
        "numpy.matrix",
        np.matrix,
        _write_matrix,
        lambda reader, node: load(reader.leaf(node)).view(np.matrix),
    ),
    Kind(
        "numpy.recarray",
        np.recarray,
        _write_records,
        lambda reader, node: load(reader.leaf(node)).view(np.recarray),
    ),
)
