"""What comes down may mean harm, and does none."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clouditia_jupyter import values
from clouditia_jupyter.errors import ValueTransferError
from tests.values.columns import ALL


def trap(mark: Path) -> Any:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (mark.write_text, ("sprung",))

    return Trap()


def test_a_pickle_is_never_run_unasked(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    fmt, parts = values.encode(trap(mark))
    data = bytearray(b"".join(parts))
    for lie in values.FORMATS:
        if lie != "bytes":
            with pytest.raises(ValueTransferError):
                values.decode(lie, data)
    assert not mark.exists()
    values.decode(fmt, data, allow_pickle=True)
    assert mark.read_text() == "sprung"


def test_an_array_of_objects_is_not_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    path = tmp_path / "trap.npy"
    np.save(path, np.array([trap(mark)]), allow_pickle=True)
    with pytest.raises(ValueTransferError, match="objects"):
        values.decode("npy", bytearray(path.read_bytes()))
    assert not mark.exists()


def test_an_arrow_extension_type_is_not_even_looked_at() -> None:
    read: list[bytes] = []

    class Sprung(pa.ExtensionType):
        def __init__(self) -> None:
            super().__init__(pa.int64(), "tests.sprung")

        def __arrow_ext_serialize__(self) -> bytes:
            return b"payload"

        @classmethod
        def __arrow_ext_deserialize__(cls, storage: Any, serialized: bytes) -> Any:
            read.append(serialized)
            return cls()

    pa.register_extension_type(Sprung())
    try:
        array = pa.ExtensionArray.from_storage(Sprung(), pa.array([1]))
        for schema in (
            pa.schema([("0", Sprung())]),
            pa.schema([("0", pa.list_(Sprung()))]),
        ):
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, schema) as stream:
                if schema.field(0).type == Sprung():
                    stream.write_batch(pa.record_batch([array], schema=schema))
            with pytest.raises(ValueTransferError, match="extension type"):
                values.decode("arrow", bytearray(sink.getvalue()))
                assert read == []
    finally:
        pa.unregister_extension_type("tests.sprung")


def test_arrow_arrays_that_lead_out_of_their_memory_are_refused() -> None:
    fmt, parts = values.encode(pd.DataFrame({"a": ["one", "two", "three"] * 100}))
    data = bytearray(b"".join(parts))
    # an offset of the texts, far beyond them
    where = bytes(data).index((3).to_bytes(8, "little") + (6).to_bytes(8, "little"))
    data[where : where + 8] = (1 << 40).to_bytes(8, "little")
    with pytest.raises(ValueTransferError):
        values.decode(fmt, data)


def test_a_category_that_is_not_there_is_refused() -> None:
    fmt, parts = values.encode(pd.Series(pd.Categorical(["a", "b"])))
    data = bytearray(b"".join(parts))
    codes = bytes(data).rindex(b"\x00\x01\x00\x00\x00\x00\x00\x00")
    data[codes + 1] = 77
    with pytest.raises(ValueTransferError):
        values.decode(fmt, data)


@pytest.mark.parametrize("cut", [0, 1, 5, 16, 40, -1])
@pytest.mark.parametrize("value", [np.arange(300.0), ALL, [np.arange(300.0)]], ids=["a", "f", "b"])
def test_what_is_cut_short_is_refused(value: Any, cut: int) -> None:
    fmt, parts = values.encode(value)
    data = bytearray(b"".join(parts))
    with pytest.raises(ValueTransferError):
        values.decode(fmt, data[:cut])


@settings(deadline=None)
@given(st.data())
def test_damage_never_does_more_than_raise(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from([ALL, np.arange(300.0), [np.arange(300.0), (1,)]]))
    fmt, parts = values.encode(value)
    damaged = bytearray(b"".join(parts))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, min(len(damaged), 4000) - 1))
        damaged[place] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ValueTransferError, MemoryError):
        values.decode(fmt, damaged)


@pytest.mark.parametrize(
    "text",
    [
        '{"$": "smoke", "v": 1}',
        '{"$": "numpy.scalar", "v": ["O", "12345678"]}',
        '{"$": "numpy.array", "v": 5}',
        '{"$": "tuple"}',
        '{"$": "fraction", "v": ["1e999999999", null]}',
        '{"$": "pandas.frame", "v": "x"}',
        "[" * 100_000,
        "{",
    ],
)
def test_trees_of_nonsense_are_refused(text: str) -> None:
    with pytest.raises(ValueTransferError):
        values.decode("json", bytearray(text, "ascii"))


def test_an_unknown_format_names_the_way_out() -> None:
    with pytest.raises(ValueTransferError, match="Update"):
        values.decode("smoke", bytearray())


def test_what_cannot_be_pickled_says_so() -> None:
    with pytest.raises(ValueTransferError, match="Make it in the session"):
        values.encode(threading.Lock())
