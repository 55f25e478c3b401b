"""One column: pandas' arrays into Arrow's, and back without loss.

A column's note says which pandas type it is and where in the streams its parts lie.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values import arrays
from clouditia_jupyter.values.streams import Sink, Source
from clouditia_jupyter.values.tree import UnknownError, Writer

_MASKED: dict[str, Any] = {
    kind.name: kind
    for kind in (
        *(pd.Int8Dtype(), pd.Int16Dtype(), pd.Int32Dtype(), pd.Int64Dtype(), pd.UInt8Dtype()),
        *(pd.UInt16Dtype(), pd.UInt32Dtype(), pd.UInt64Dtype(), pd.Float32Dtype()),
        *(pd.Float64Dtype(), pd.BooleanDtype()),
    )
}
#: Types of arrays that stand by themselves: a Series' ``.array``, what ``.unique()`` gives.
ARRAYS = tuple(
    kind
    for name in (
        *("Categorical", "DatetimeArray", "TimedeltaArray", "PeriodArray", "IntervalArray"),
        *("IntegerArray", "FloatingArray", "BooleanArray", "StringArray", "ArrowStringArray"),
        *("ArrowExtensionArray", "SparseArray"),
    )
    if (kind := getattr(pd.arrays, name, None)) is not None
)


def write(values: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    """Put the values of a Series, an index or an array into ``sink``; return their note.

    Raises
    ------
    UnknownError
        If they are of a type that has no form here.
    """
    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        plain = np.asarray(values)
        if dtype.hasobject:
            return _write_objects(plain, sink, writer)
        note = {"numpy": dtype.str, "at": sink.add(_of_numpy(plain))}
        # alone, pandas' array of them is no NumPy array
        return {**note, "pandas": True} if type(values) in ARRAYS else note
    array = values if isinstance(values, pd.api.extensions.ExtensionArray) else values.array
    for kind, write_one in _WRITERS:
        if type(dtype) is kind:
            return write_one(array, sink, writer)
    if type(dtype) in set(map(type, _MASKED.values())):
        return {"masked": dtype.name, "at": sink.add(pa.array(array))}
    raise UnknownError(type(array))


def read(note: dict[str, Any], source: Source) -> Any:
    """Return the array that a note describes: NumPy's, or one of pandas' own."""
    for key, read_one in _READERS.items():
        if key in note:
            return read_one(note, source)
    raise ValueTransferError(
        f"A column of {', '.join(note)} is unknown here. "
        "Update clouditia_jupyter on the older side."
    )


def zone_name(zone: Any) -> str:
    """Return the name by which :func:`zone` finds a time zone.

    Raises
    ------
    UnknownError
        If it has none.
    """
    name = zone.key if type(zone) is zoneinfo.ZoneInfo else str(zone)
    try:
        same = name and pd.DatetimeTZDtype("ns", _zone_of(name)) == pd.DatetimeTZDtype("ns", zone)
    except Exception:
        same = False
    if not same:
        raise UnknownError(type(zone))
    return str(name)


def zone(name: str) -> Any:
    """Return a time zone."""
    return _zone_of(str(name))


def _zone_of(name: str) -> Any:
    # "UTC+02:00" is how datetime.timezone calls itself
    return pd.DatetimeTZDtype("ns", name.replace("UTC+", "+").replace("UTC-", "-")).tz


# NumPy's types


def _of_numpy(array: Any) -> Any:
    """Return NumPy's memory as an Arrow array; without missing values, as NumPy has none."""
    array = np.ascontiguousarray(array)
    kind, size = array.dtype.kind, array.dtype.itemsize
    if not size:
        raise UnknownError(np.ndarray)
    arrow = pa.binary(size)
    if array.dtype.isnative:
        unit = np.datetime_data(array.dtype)[0] if kind in "mM" else ""
        if kind in "iufb" and size <= 8:
            arrow = pa.uint8() if kind == "b" else pa.from_numpy_dtype(array.dtype)
        elif unit in ("s", "ms", "us", "ns"):
            arrow = pa.timestamp(unit) if kind == "M" else pa.duration(unit)
    return pa.Array.from_buffers(arrow, len(array), [None, pa.py_buffer(arrays.raw(array))])


def _read_numpy(note: dict[str, Any], source: Source) -> Any:
    dtype = np.dtype(str(note["numpy"]))
    if dtype.hasobject:
        raise ValueTransferError("A column of objects cannot come as numbers.")
    array = source.numbers(note["at"], dtype)
    return pd.array(array, dtype=dtype, copy=False) if note.get("pandas") else array


# Objects: texts and bytes, or anything that the tree can carry


def _write_objects(array: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    kinds = set(map(type, array.tolist()))
    for kind, arrow in ((str, pa.large_string()), (bytes, pa.large_binary())):
        rest = kinds - {kind}
        if kind in kinds and rest <= {type(None)}:
            try:
                return {"objects": "none", "at": sink.add(pa.array(array, arrow))}
            except (UnicodeEncodeError, pa.ArrowInvalid):
                break  # lone surrogates
        if kind in kinds and rest == {float} and all(v != v for v in array if type(v) is float):
            return {"objects": "nan", "at": sink.add(pa.array(array, arrow, from_pandas=True))}
    return {"tree": writer.items(array)}


def _read_objects(note: dict[str, Any], source: Source) -> Any:
    array = source.array(note["at"]).to_numpy(zero_copy_only=False)
    if not array.flags.writeable:
        array = array.copy()
    if note["objects"] == "nan":
        array[pd.isna(array)] = np.nan
    return array


def _read_tree(note: dict[str, Any], source: Source) -> Any:
    return arrays.objects([len(note["tree"])], "C", note["tree"])


# pandas' own types


def _write_category(array: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    from clouditia_jupyter.values import indexes  # which are made of columns

    return {
        "category": indexes.write(array.categories, sink, writer),
        "ordered": array.ordered,
        "at": sink.add(_of_numpy(array.codes)),
        "codes": array.codes.dtype.str,
    }


def _read_category(note: dict[str, Any], source: Source) -> Any:
    from clouditia_jupyter.values import indexes

    codes = source.numbers(note["at"], np.dtype(str(note["codes"])))
    categories = indexes.read(note["category"], source)
    dtype = pd.CategoricalDtype(categories, ordered=note["ordered"])
    return pd.Categorical.from_codes(codes, dtype=dtype)


def _write_zoned(array: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    ticks = array.tz_convert(None)
    return {
        "zone": zone_name(array.dtype.tz),
        "unit": array.dtype.unit,
        "at": sink.add(_of_numpy(np.asarray(ticks))),
    }


def _read_zoned(note: dict[str, Any], source: Source) -> Any:
    ticks = source.numbers(note["at"], np.dtype(f"M8[{note['unit']}]"))
    return pd.array(ticks, dtype=ticks.dtype).tz_localize("UTC").tz_convert(zone(note["zone"]))


def _write_text(array: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    dtype = array.dtype
    try:
        texts = _one(pa.array(array, from_pandas=True))
    except (UnicodeEncodeError, pa.ArrowInvalid):
        raise UnknownError(type(array)) from None
    missing = "NA" if getattr(dtype, "na_value", pd.NA) is pd.NA else "nan"
    return {"text": dtype.storage, "missing": missing, "at": sink.add(texts)}


def _read_text(note: dict[str, Any], source: Source) -> Any:
    missing: dict[str, Any] = {} if note["missing"] == "NA" else {"na_value": np.nan}
    storage: Any = note["text"] if note["text"] in ("python", "pyarrow") else "pyarrow"
    dtype: Any
    try:
        dtype = pd.StringDtype(storage, **missing)
    except TypeError:  # before pandas 2.3
        dtype = pd.StringDtype(storage)
    return dtype.__from_arrow__(source.array(note["at"]))


def _write_arrow(array: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    arrow = _one(pa.array(array))
    if "extension<" in str(arrow.type):
        raise UnknownError(type(array))
    return {"arrow": str(arrow.type), "at": sink.add(arrow)}


def _read_arrow(note: dict[str, Any], source: Source) -> Any:
    return pd.arrays.ArrowExtensionArray(source.array(note["at"]))


def _write_period(array: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    return {"period": array.dtype.name[7:-1], "at": sink.add(_of_numpy(array.asi8))}


def _read_period(note: dict[str, Any], source: Source) -> Any:
    ordinals = source.numbers(note["at"], np.dtype("i8"))
    return pd.arrays.PeriodArray(ordinals, dtype=pd.PeriodDtype(note["period"]))


def _write_interval(array: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    ends = [write(end, sink, writer) for end in (array.left, array.right)]
    return {"interval": array.closed, "ends": ends}


def _read_interval(note: dict[str, Any], source: Source) -> Any:
    left, right = (read(end, source) for end in note["ends"])
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=note["interval"])


def _write_sparse(array: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    fill = writer.node(array.fill_value)
    return {"sparse": write(array.to_dense(), sink, writer), "kind": array.kind, "fill": fill}


def _read_sparse(note: dict[str, Any], source: Source) -> Any:
    dense = read(note["sparse"], source)
    dtype = pd.SparseDtype(dense.dtype, note["fill"])
    return pd.arrays.SparseArray(dense, fill_value=note["fill"], kind=note["kind"], dtype=dtype)


def _read_masked(note: dict[str, Any], source: Source) -> Any:
    return _MASKED[note["masked"]].__from_arrow__(source.array(note["at"]))


def _one(array: Any) -> Any:
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.chunk(0) if array.num_chunks == 1 else array.combine_chunks()


_WRITERS: tuple[tuple[type, Callable[[Any, Sink, Writer], dict[str, Any]]], ...] = (
    (pd.CategoricalDtype, _write_category),
    (pd.DatetimeTZDtype, _write_zoned),
    (pd.StringDtype, _write_text),
    (pd.ArrowDtype, _write_arrow),
    (pd.PeriodDtype, _write_period),
    (pd.IntervalDtype, _write_interval),
    (pd.SparseDtype, _write_sparse),
)
_READERS: dict[str, Callable[[dict[str, Any], Source], Any]] = {
    "numpy": _read_numpy,
    "objects": _read_objects,
    "tree": _read_tree,
    "masked": _read_masked,
    "category": _read_category,
    "zone": _read_zoned,
    "text": _read_text,
    "arrow": _read_arrow,
    "period": _read_period,
    "interval": _read_interval,
    "sparse": _read_sparse,
}
