"""DataFrames, Series, indexes and their scalars; the columns lie in Arrow.

The body is one Arrow stream for each length that occurs: the columns and the row index first, then
categories, levels and column labels. What Arrow cannot say (names, the kind of an index, which of
two missing values) is a note in the first stream's metadata, as JSON; pandas' own metadata is
neither written nor read.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from clouditia_jupyter.errors import ValueTransferError

try:
    from clouditia_jupyter.values import columns, indexes
except ImportError as error:
    raise ValueTransferError(
        "DataFrames need pyarrow, here and in the session. Install it: "
        "pip install 'clouditia_jupyter[transfer]', or pyarrow."
    ) from error
from clouditia_jupyter.values.kinds import Kind
from clouditia_jupyter.values.sections import Buffer, Memory
from clouditia_jupyter.values.streams import Sink, Source
from clouditia_jupyter.values.tree import Reader, Writer
from clouditia_jupyter.values.tree import dump as dump_tree

_Array = pd.api.extensions.ExtensionArray
#: A frame with more columns is put together into blocks, which costs a copy and is worth it.
_MANY = 64


def is_whole(value: Any) -> bool:
    """Say whether ``value`` is one that Arrow carries."""
    kind = type(value)
    return kind in (pd.DataFrame, pd.Series, *indexes.KINDS) or isinstance(value, _Array)


def dump(value: Any) -> list[Buffer]:
    """Return the parts of the Arrow streams; numbers and Arrow's own texts are not copied.

    Raises
    ------
    UnknownError
        If a column holds what only pickle could carry.
    """
    sink = Sink()
    writer = Writer(inline=True)
    return sink.parts(dump_tree(_note(value, sink, writer)))


def load(data: Memory) -> Any:
    """Return the frame, Series, index or array; numbers are views of ``data``."""
    source = Source(data)
    reader = Reader()
    return _value(reader.load(source.note), source)


def _note(value: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    if isinstance(value, pd.DataFrame):
        note = {
            # the columns first: that is what another reader of the stream expects
            "data": [columns.write(column, sink, writer) for _, column in value.items()],
            "columns": indexes.write(value.columns, sink, writer),
        }
    elif isinstance(value, pd.Series):
        note = {"data": columns.write(value, sink, writer), "name": writer.node(value.name)}
    elif isinstance(value, pd.Index):
        return {"index": indexes.write(value, sink, writer)}
    else:
        return {"array": columns.write(value, sink, writer)}
    note["index"] = indexes.write(value.index, sink, writer)
    note["attrs"] = writer.node(value.attrs)
    note["duplicates"] = value.flags.allows_duplicate_labels
    return note


def _value(note: dict[str, Any], source: Source) -> Any:
    if "array" in note:
        return columns.read(note["array"], source)
    index = indexes.read(note["index"], source)
    if "data" not in note:
        return index
    value: Any
    if "columns" in note:
        data = {
            place: _column(columns.read(one, source), index)
            for place, one in enumerate(note["data"])
        }
        value = pd.DataFrame(data, index=index, copy=len(data) > _MANY)
        value.columns = indexes.read(note["columns"], source)
    else:
        value = _column(columns.read(note["data"], source), index)
        value.name = note["name"]
    value.attrs = note["attrs"]
    if not note["duplicates"]:
        value = value.set_flags(allows_duplicate_labels=False)
    return value


def _column(array: Any, index: Any) -> Any:
    # the dtype is said, or pandas would look for a better one
    return pd.Series(array, index=index, dtype=array.dtype, copy=False)


def _write_frame(writer: Writer, value: Any) -> Any:
    return writer.leaf(dump(value))


def _read_frame(reader: Reader, node: Any) -> Any:
    return load(reader.leaf(node))


def _write_timestamp(writer: Writer, value: Any) -> Any:
    zone = None if value.tz is None else columns.zone_name(value.tz)
    plain = value.tz_convert(None) if zone else value
    return [int(plain.asm8.view("i8")), value.unit, zone]


def _read_timestamp(reader: Reader, node: Any) -> Any:
    ticks, unit, zone = node
    value = pd.Timestamp(ticks, unit=unit).as_unit(unit)
    return value.tz_localize("UTC").tz_convert(columns.zone(zone)) if zone else value


def _read_timedelta(reader: Reader, node: Any) -> Any:
    ticks, unit = node
    return pd.Timedelta(ticks, unit=unit).as_unit(unit)


KINDS = (
    *(Kind("pandas.arrow", kind, _write_frame, _read_frame) for kind in columns.ARRAYS),
    *(Kind("pandas.arrow", kind, _write_frame, _read_frame) for kind in indexes.KINDS),
    Kind("pandas.arrow", pd.DataFrame, _write_frame, _read_frame),
    Kind("pandas.arrow", pd.Series, _write_frame, _read_frame),
    Kind("pandas.nat", type(pd.NaT), lambda writer, value: None, lambda reader, node: pd.NaT),
    Kind("pandas.na", type(pd.NA), lambda writer, value: None, lambda reader, node: pd.NA),
    Kind("pandas.timestamp", pd.Timestamp, _write_timestamp, _read_timestamp),
    Kind(
        "pandas.timedelta",
        pd.Timedelta,
        lambda writer, value: [int(value.asm8.view("i8")), value.unit],
        _read_timedelta,
    ),
    Kind(
        "pandas.period",
        pd.Period,
        lambda writer, value: [value.ordinal, value.freqstr],
        lambda reader, node: pd.Period(ordinal=node[0], freq=node[1]),
    ),
    Kind(
        "pandas.interval",
        pd.Interval,
        lambda writer, value: [writer.node(value.left), writer.node(value.right), value.closed],
        lambda reader, node: pd.Interval(*node),
    ),
)
