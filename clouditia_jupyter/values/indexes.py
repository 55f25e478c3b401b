"""Indexes: pandas' row labels, column labels and categories, each with its kind and its names."""

from __future__ import annotations

from typing import Any

import pandas as pd

from clouditia_jupyter.values import columns
from clouditia_jupyter.values.streams import Sink, Source
from clouditia_jupyter.values.tree import UnknownError, Writer

#: The types that are known; what a subclass adds would be lost.
KINDS = (
    *(pd.Index, pd.RangeIndex, pd.MultiIndex, pd.DatetimeIndex, pd.TimedeltaIndex),
    *(pd.PeriodIndex, pd.CategoricalIndex, pd.IntervalIndex),
)


def write(index: Any, sink: Sink, writer: Writer) -> dict[str, Any]:
    """Put an index into ``sink``; return its note.

    Raises
    ------
    UnknownError
        If its type or what it holds has no form here.
    """
    if type(index) not in KINDS:
        raise UnknownError(type(index))
    if isinstance(index, pd.RangeIndex):
        shape = [index.start, index.stop, index.step]
        return {"range": shape, "name": writer.node(index.name)}
    if isinstance(index, pd.MultiIndex):
        return {
            "levels": [write(level, sink, writer) for level in index.levels],
            "codes": [columns.write(codes, sink, writer) for codes in index.codes],
            "names": writer.items(index.names),
        }
    return {
        "flat": columns.write(index, sink, writer),
        "name": writer.node(index.name),
        "freq": _rhythm(index),
    }


def _rhythm(index: Any) -> str | None:
    """Return the name of an index's frequency; None where it has none, or one without a name."""
    if not isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex)) or index.freq is None:
        return None
    name = index.freq.freqstr
    return name if pd.tseries.frequencies.to_offset(name) == index.freq else None


def read(note: dict[str, Any], source: Source) -> Any:
    """Return the index that a note describes."""
    if "range" in note:
        start, stop, step = note["range"]
        return pd.RangeIndex(start, stop, step, name=note["name"])
    if "levels" in note:
        return pd.MultiIndex(
            levels=[read(level, source) for level in note["levels"]],
            codes=[columns.read(codes, source) for codes in note["codes"]],
            names=note["names"],
        )
    array = columns.read(note["flat"], source)
    index: Any = pd.Index(array, dtype=array.dtype, name=note["name"], copy=False)
    if note["freq"] is not None:
        index.freq = note["freq"]
    return index
