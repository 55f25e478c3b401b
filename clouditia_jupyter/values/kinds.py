"""The types that have a tag: how each becomes a node, and a node one of them again.

A reader makes its type of what it is given and calls nothing else, whoever sent it.
"""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import pathlib
import types
import uuid
import zoneinfo
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Optional

from clouditia_jupyter.values.tree import Reader, UnknownError, Writer

Write = Callable[[Writer, Any], Any]
Read = Callable[[Reader, Any], Any]


class Kind(NamedTuple):
    """A tag's name, its type, and the way there and back."""

    name: str
    type: type
    write: Write
    read: Read


def _text(make: Callable[[str], Any]) -> tuple[Write, Read]:
    return lambda writer, value: str(value), lambda reader, node: make(str(node))


def _iso(kind: Any) -> tuple[Write, Read]:
    return lambda writer, value: value.isoformat(), lambda reader, node: kind.fromisoformat(node)


def _items(make: Callable[[list[Any]], Any]) -> tuple[Write, Read]:
    return Writer.items, lambda reader, node: make(node)


def _moment(kind: Any) -> tuple[Write, Read]:
    """A datetime or a time: its digits, its fold, its zone."""

    def write(writer: Writer, value: Any) -> Any:
        zone = value.tzinfo
        if not (zone is None or type(zone) in (dt.timezone, zoneinfo.ZoneInfo)):
            raise UnknownError(type(zone))
        return [value.replace(tzinfo=None).isoformat(), value.fold, writer.node(zone)]

    def read(reader: Reader, node: Any) -> Any:
        digits, fold, zone = node
        return kind.fromisoformat(digits).replace(fold=fold, tzinfo=zone)

    return write, read


def _write_zone(writer: Writer, value: zoneinfo.ZoneInfo) -> str:
    if value.key is None:  # made from a file
        raise UnknownError(type(value))
    return value.key


def _write_offset(writer: Writer, value: dt.timezone) -> Any:
    # what __reduce__ says: a name only where one was given
    return [writer.node(part) for part in value.__getinitargs__()]  # type: ignore[attr-defined]


def _write_delta(writer: Writer, value: dt.timedelta) -> Any:
    return [value.days, value.seconds, value.microseconds]


#: What a defaultdict may make of nothing; any other function would need pickle.
_FACTORIES = {kind.__name__: kind for kind in (int, float, str, bool, list, dict, set, tuple)}


def _write_defaultdict(writer: Writer, value: Any) -> Any:
    factory = value.default_factory
    if factory is not None and _FACTORIES.get(getattr(factory, "__name__", "")) is not factory:
        raise UnknownError(type(factory))
    return [factory and factory.__name__, writer.pairs(value)]


def _read_defaultdict(reader: Reader, node: Any) -> Any:
    factory, pairs = node
    return collections.defaultdict(factory and _FACTORIES[factory], pairs)


def _attributes(value: Any) -> list[Any]:
    return [value.start, value.stop, value.step]


_KINDS = (
    Kind("int", int, lambda writer, value: hex(value), lambda reader, node: int(node, 16)),
    Kind("dict", dict, Writer.pairs, lambda reader, node: dict(node)),
    Kind("tuple", tuple, *_items(tuple)),
    Kind("set", set, *_items(set)),
    Kind("frozenset", frozenset, *_items(frozenset)),
    Kind(
        "complex",
        complex,
        lambda writer, value: [value.real, value.imag],
        lambda reader, node: complex(*node),
    ),
    Kind(
        "bytes",
        bytes,
        lambda writer, value: writer.leaf([value]),
        lambda reader, node: bytes(reader.leaf(node)),
    ),
    Kind(
        "bytearray",
        bytearray,
        lambda writer, value: writer.leaf([value]),
        lambda reader, node: bytearray(reader.leaf(node)),
    ),
    Kind(
        "range",
        range,
        lambda writer, value: writer.items(_attributes(value)),
        lambda reader, node: range(*node),
    ),
    Kind(
        "slice",
        slice,
        lambda writer, value: writer.items(_attributes(value)),
        lambda reader, node: slice(*node),
    ),
    Kind("ellipsis", type(...), lambda writer, value: None, lambda reader, node: ...),
    Kind("decimal", decimal.Decimal, *_text(decimal.Decimal)),
    Kind(
        "fraction",
        fractions.Fraction,
        lambda writer, value: writer.items([value.numerator, value.denominator]),
        # of a text such as "1e999999999" it would never come back
        lambda reader, node: fractions.Fraction(*map(int, node)),
    ),
    Kind("uuid", uuid.UUID, *_text(uuid.UUID)),
    Kind("path", type(pathlib.Path()), *_text(pathlib.Path)),
    Kind("purepath", pathlib.PurePosixPath, *_text(pathlib.PurePosixPath)),
    Kind("date", dt.date, *_iso(dt.date)),
    Kind("datetime", dt.datetime, *_moment(dt.datetime)),
    Kind("time", dt.time, *_moment(dt.time)),
    Kind("timedelta", dt.timedelta, _write_delta, lambda reader, node: dt.timedelta(*node)),
    Kind("timezone", dt.timezone, _write_offset, lambda reader, node: dt.timezone(*node)),
    Kind("zone", zoneinfo.ZoneInfo, _write_zone, lambda reader, node: zoneinfo.ZoneInfo(node)),
    Kind(
        "ordereddict",
        collections.OrderedDict,
        Writer.pairs,
        lambda reader, node: collections.OrderedDict(node),
    ),
    Kind(
        "counter",
        collections.Counter,
        Writer.pairs,
        lambda reader, node: collections.Counter(dict(node)),
    ),
    Kind("defaultdict", collections.defaultdict, _write_defaultdict, _read_defaultdict),
    Kind(
        "deque",
        collections.deque,
        lambda writer, value: [writer.items(value), value.maxlen],
        lambda reader, node: collections.deque(*node),
    ),
    Kind(
        "namespace",
        types.SimpleNamespace,
        lambda writer, value: {key: writer.node(item) for key, item in vars(value).items()},
        lambda reader, node: types.SimpleNamespace(**node),
    ),
)

_WRITERS: dict[type, tuple[str, Write]] = {kind.type: (kind.name, kind.write) for kind in _KINDS}
_READERS: dict[str, Read] = {kind.name: kind.read for kind in _KINDS}


def writer_of(kind: type) -> Optional[tuple[str, Write]]:  # noqa: UP045 (3.9)
    """Return the tag of a type and what writes it; None where it has none."""
    known = _WRITERS.get(kind)
    return known if known is not None else _writers(kind.__module__.partition(".")[0]).get(kind)


def reader_of(tag: str) -> Optional[Read]:  # noqa: UP045 (3.9)
    """Return what reads a tag; None where it is unknown."""
    known = _READERS.get(tag)
    return known if known is not None else _readers(tag.partition(".")[0]).get(tag)


# The types of libraries are known by modules of their own, which import them: whoever has a value
# of such a type has imported the library, and whoever gets one needs it. Their tags begin with the
# library's name.


@cache
def _writers(library: str) -> dict[type, tuple[str, Write]]:
    return {kind.type: (kind.name, kind.write) for kind in _kinds_of(library)}


@cache
def _readers(library: str) -> dict[str, Read]:
    return {kind.name: kind.read for kind in _kinds_of(library)}


def _kinds_of(library: str) -> tuple[Kind, ...]:
    if library == "numpy":
        from clouditia_jupyter.values import arrays

        return arrays.KINDS
    if library == "pandas":
        from clouditia_jupyter.values import frames

        return frames.KINDS
    if library == "scipy":
        from clouditia_jupyter.values import matrices

        return matrices.KINDS
    return ()
