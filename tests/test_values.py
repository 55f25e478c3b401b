"""Values encoded and decoded again: equal and of the same type, or refused."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import fractions
import json
import math
import pathlib
import threading
import types
import uuid
import zoneinfo
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import sparse

from clouditia_jupyter import values
from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values import parcel, sections, tree


def there_and_back(value: Any) -> tuple[str, Any]:
    fmt, parts = values.encode(value, allow_pickle=False)
    return fmt, values.decode(fmt, bytearray(b"".join(parts)))


def check(value: Any) -> str:
    """Assert that a value comes back as it was; return its format."""
    fmt, back = there_and_back(value)
    assert_same(back, value)
    return fmt


def assert_same(back: Any, value: Any) -> None:
    assert type(back) is type(value)
    if isinstance(value, pd.DataFrame):
        pd.testing.assert_frame_equal(back, value, check_column_type=True, check_freq=True)
        assert_same(back.attrs, value.attrs)
        assert_same(back.columns, value.columns)
        assert back.flags.allows_duplicate_labels == value.flags.allows_duplicate_labels
    elif isinstance(value, pd.Series):
        pd.testing.assert_series_equal(back, value, check_freq=True)
        assert_same(back.index, value.index)
        assert_same(back.name, value.name)
    elif isinstance(value, pd.Index):
        pd.testing.assert_index_equal(back, value, exact=True)
        assert getattr(back, "freq", None) == getattr(value, "freq", None)
        assert back.names == value.names
    elif isinstance(value, pd.api.extensions.ExtensionArray):
        pd.testing.assert_extension_array_equal(back, value)
    elif isinstance(value, np.ma.MaskedArray):
        assert_same(back.data, value.data)
        np.testing.assert_array_equal(back.mask, value.mask)
        assert back.fill_value == value.fill_value
        assert back.hardmask == value.hardmask
    elif isinstance(value, np.ndarray):
        assert (back.dtype, back.shape) == (value.dtype, value.shape)
        assert back.flags.fnc == value.flags.fnc
        assert back.flags.writeable
        if value.dtype == object:
            assert_same(back.tolist(), value.tolist())
        else:  # NaN and NaT too
            assert back.tobytes() == value.tobytes()
    elif isinstance(value, decimal.Decimal):
        assert str(back) == str(value)
    elif isinstance(value, (list, tuple, collections.deque)):
        assert len(back) == len(value)
        for mine, theirs in zip(back, value, strict=True):
            assert_same(mine, theirs)
    elif isinstance(value, dict):
        assert_same(list(back), list(value))
        assert_same(list(back.values()), list(value.values()))
    elif value is pd.NA:
        assert back is pd.NA
    else:
        assert back == value or (back != back and value != value)
        if isinstance(value, float) and value == 0:
            assert math.copysign(1, back) == math.copysign(1, value)


# Plain values

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.text(st.characters(categories=["Cs"]))  # lone surrogates
    | st.binary()
    | st.complex_numbers()
    | st.decimals()
    | st.fractions()
    | st.dates()
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.times()
    | st.timedeltas()
    | st.uuids()
)
keys = st.text() | st.integers() | st.just("$") | st.dates() | st.tuples(st.integers(), st.text())
plain = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(keys, inner)
        | st.frozensets(keys)
        | st.sets(keys)
        | st.lists(inner).map(collections.deque)
    ),
    max_leaves=20,
)


@given(plain)
def test_any_plain_value(value: Any) -> None:
    assert check(value) in ("json", "bytes", "bundle")


@pytest.mark.parametrize(
    "value",
    [
        2**70,
        -(10**5000),
        -0.0,
        float("inf"),
        [1, "a", None, True, 1.5, float("nan")],
        {"$": 1, "a": [{"$": "tuple", "v": []}]},
        {1: "a", (1, 2): "b", None: "c", 1.5: "d"},
        range(1, 10, 2),
        slice(None, 3),
        ...,
        b"x" * 10_000,
        [b"x" * 10_000, bytearray(b"short")],
        decimal.Decimal("1.10"),
        fractions.Fraction(1, 3),
        fractions.Fraction(10**5000, 3),
        dt.datetime(2020, 10, 25, 2, 30, fold=1, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
        dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc),
        dt.timezone(dt.timedelta(hours=1), "named"),
        pathlib.Path("a/b"),
        pathlib.PurePosixPath("c"),
        uuid.UUID(int=5),
        collections.OrderedDict(b=1, a=2),
        collections.Counter("banana"),
        collections.defaultdict(list, a=[1]),
        collections.defaultdict(None, a=1),
        collections.deque([1, 2], maxlen=2),
        types.SimpleNamespace(a=(1,), b={2}),
        pd.Timestamp("2020-03-01 12:00", tz="Europe/Paris"),
        pd.Timestamp("2020-01-01 00:00:00.123456789"),
        pd.Timestamp("2020-01-01").as_unit("s"),
        pd.Timedelta("1h 3us"),
        pd.Period("2020-03", "M"),
        pd.Interval(0, 1, closed="left"),
        pd.NaT,
        pd.NA,
    ],
    ids=lambda value: type(value).__name__,
)
def test_plain_values_of_every_kind(value: Any) -> None:
    fmt = check(value)
    assert fmt in ("json", "bytes", "bundle")
    assert check([value]) in ("json", "bundle")


def test_a_list_of_numbers_is_nothing_but_json() -> None:
    fmt, parts = values.encode([1, 2.5, "é", None, {"a": True}])
    assert fmt == "json"
    assert json.loads(b"".join(parts)) == [1, 2.5, "é", None, {"a": True}]


@dataclasses.dataclass
class Record:
    """One of a user's own classes."""

    field: int


Pair = collections.namedtuple("Pair", "a b")


class MyList(list[int]):
    """A subclass: what it adds would be lost."""


@pytest.mark.parametrize(
    "value",
    [Record(1), Pair(1, 2), MyList([1]), lambda: 1, Record, collections.defaultdict(Record)],
    ids=["dataclass", "namedtuple", "subclass", "function", "class", "factory"],
)
def test_what_only_pickle_carries_is_refused_unless_allowed(value: Any) -> None:
    for whole in (value, [value], {"a": (value,)}):
        with pytest.raises(ValueTransferError, match=r"to_numpy.*--trust-pickle"):
            values.encode(whole, allow_pickle=False)
        fmt, parts = values.encode(whole)
        assert fmt == "cloudpickle"
        with pytest.raises(ValueTransferError, match="--trust-pickle"):
            values.decode(fmt, bytearray(b"".join(parts)))


def test_the_refusal_names_what_is_in_the_way() -> None:
    with pytest.raises(ValueTransferError, match=r"A dict that holds a tests\.test_values\.Record"):
        values.encode({"deep": [Record(1)]}, allow_pickle=False)


def test_what_contains_itself_goes_as_a_pickle() -> None:
    loop: list[Any] = []
    loop.append(loop)
    fmt, parts = values.encode(loop)
    assert fmt == "cloudpickle"
    back = values.decode(fmt, bytearray(b"".join(parts)), allow_pickle=True)
    assert back[0] is back


def test_a_pickle_holds_big_arrays_beside_it() -> None:
    class Model:
        weights = np.arange(300_000.0)

    model = Model()
    model.weights = np.arange(200_000.0)
    fmt, parts = values.encode(model)
    # not a copy: the array's own memory
    assert any(
        isinstance(part, memoryview) and np.shares_memory(np.frombuffer(part, "f8"), model.weights)
        for part in parts
        if memoryview(part).nbytes == model.weights.nbytes
    )
    back = values.decode(fmt, bytearray(b"".join(parts)), allow_pickle=True)
    back.weights[0] = 5  # writable
    np.testing.assert_array_equal(back.weights[1:], model.weights[1:])


# NumPy

arrays = st_numpy.arrays(
    st_numpy.scalar_dtypes() | st_numpy.unicode_string_dtypes() | st_numpy.array_dtypes(),
    st_numpy.array_shapes(min_dims=0, min_side=0),
)


@given(arrays, st.sampled_from("CF"))
def test_any_array(array: Any, order: Any) -> None:
    array = np.asarray(array, order=order)
    assert check(array) == "npy"
    check([array, {"a": array}])


@pytest.mark.parametrize(
    "array",
    [
        np.array(5),
        np.arange(10)[::2],
        np.broadcast_to(np.arange(3), (2, 3)),
        np.zeros((0, 3)),
        np.arange(5, dtype=">f8"),
        np.array(["2020", "NaT"], "M8[D]"),
        np.zeros(3, [("x", "f4"), ("y", ">i8", (2,))]),
        np.zeros(3, np.dtype([("x", "u1"), ("y", "f8")], align=True)),
        np.array([1, "a", None, [2]], object),
        np.array([[1, (2,)], [None, {}]], object, order="F"),
        np.ma.array([1, 2, 3], mask=[0, 1, 0], fill_value=7),
        np.ma.array([1.0, 2.0]),
        np.matrix([[1, 2]]),
        np.rec.array([(1, "a")], dtype=[("x", int), ("y", "U1")]),
    ],
    ids=lambda array: f"{type(array).__name__} {array.dtype} {array.shape}",
)
def test_arrays_of_every_kind(array: Any) -> None:
    check(array)
    check({"inside": array})


@pytest.mark.parametrize(
    "scalar",
    [
        *(np.float64(1.5), np.float32("nan"), np.int64(3), np.uint8(3), np.bool_(True)),
        *(np.str_("é"), np.bytes_(b"a"), np.datetime64("2020", "D"), np.timedelta64(3, "h")),
        *(np.complex64(1j), np.longdouble(1.5), np.void(b"abc")),
        np.zeros(1, [("a", int)])[0],
    ],
    ids=lambda scalar: type(scalar).__name__,
)
def test_scalars_stay_scalars(scalar: Any) -> None:
    check(scalar)
    check({scalar.tobytes(): [scalar]})


def test_a_read_only_array_arrives_writable() -> None:
    array = np.arange(5)
    array.flags.writeable = False
    check(array)


def test_what_an_array_has_in_memory_is_not_copied() -> None:
    array = np.arange(100_000.0)
    frame = pd.DataFrame({"a": array, "b": array * 2, "c": np.arange(100_000)})
    for value, wanted in ((array, [array]), (frame, [frame[c].to_numpy() for c in frame])):
        parts = [np.frombuffer(p, "u1") for p in values.encode(value).parts if len(p) > 50_000]
        assert len(parts) == len(wanted)
        for part, own in zip(parts, wanted, strict=True):
            assert np.shares_memory(part, own)


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "coo", "dia"])
@pytest.mark.parametrize("flavour", ["matrix", "array"])
def test_sparse_matrices(layout: str, flavour: str) -> None:
    matrix = getattr(sparse, f"{layout}_{flavour}")(np.eye(5)[::-1] * np.arange(5))
    _, back = there_and_back(matrix)
    assert type(back) is type(matrix)
    np.testing.assert_array_equal(back.toarray(), matrix.toarray())


# pandas

N = 5
COLUMNS: dict[str, Any] = {
    "float": np.array([0.5, np.nan, -0.0, 3, 4]),
    "small": np.arange(N, dtype="i2"),
    "half": np.arange(N, dtype="f2"),
    "bool": np.arange(N) % 2 == 0,
    "complex": np.arange(N) * 1j,
    "date": pd.to_datetime(["2020-01-01", None, "2021-01-01", "2022-01-01", "2020-05-05"]),
    "second": pd.date_range("2020", periods=N).as_unit("s"),
    "zone": pd.date_range("2020-03-29 00:30", periods=N, freq="h", tz="Europe/Paris"),
    "utc": pd.date_range("2020", periods=N, tz="UTC"),
    "offset": pd.date_range("2020", periods=N, tz=dt.timezone(dt.timedelta(hours=-2))),
    "delta": pd.timedelta_range("1h", periods=N),
    "str": ["a", None, "é", "", "x"],
    "none": pd.Series(["a", None, "é", "", "x"], dtype=object),
    "nan": pd.Series(["a", np.nan, "é", "", "x"], dtype=object),
    "both": pd.Series(["a", np.nan, None, "", "\ud800"], dtype=object),
    "bytes": pd.Series([b"a", None, b"", b"z", b"e"], dtype=object),
    "mixed": pd.Series([1, "a", decimal.Decimal("1.1"), dt.date(2020, 1, 1), (1,)], dtype=object),
    "lists": pd.Series([[1], [], None, [2, [3]], ["a"]], dtype=object),
    "vectors": pd.Series([np.arange(3.0)] * N, dtype=object),
    "category": pd.Categorical(list("abaca"), categories=list("cbaz"), ordered=True),
    "unused": pd.Categorical([1, None, 3, 1, 1], categories=[1, 2, 3]),
    "bins": pd.cut(np.arange(N), 3),
    "Int16": pd.array([1, None, 3, 4, 5], dtype="Int16"),
    "UInt64": pd.array([2**63, None, 3, 4, 5], dtype="UInt64"),
    "boolean": pd.array([True, None, False, True, True], dtype="boolean"),
    "Float32": pd.array([1.5, None, 3, 4, 5], dtype="Float32"),
    "string": pd.array(["a", None, "b", "c", "d"], dtype="string"),
    "python": pd.array(["a", None, "b", "c", "d"], dtype="string[python]"),
    "arrow": pd.array([1, None, 3, 4, 5], dtype="int64[pyarrow]"),
    "nested": pd.array([[1], None, [3], [], [5]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "month": pd.period_range("2020", periods=N, freq="M"),
    "quarter": pd.period_range("2020", periods=N, freq="Q-JAN"),
    "interval": pd.interval_range(0, N, closed="left"),
    "sparse": pd.arrays.SparseArray([0, 0, 1, 0, 2]),
    "block": pd.arrays.SparseArray([np.nan, 1, np.nan, np.nan, 2], kind="block"),
}
NO_INDEX = {"half", "vectors", "lists", "sparse", "block", "nested", "both", "mixed"}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_every_kind(name: str) -> None:
    series = pd.Series(COLUMNS[name], name=name)
    assert check(series) == "arrow"
    check(series[:0])
    check(series[1:4])
    check(series.to_frame())
    check({"series": series})
    if not isinstance(series.dtype, np.dtype):
        check(series.array)


@pytest.mark.parametrize("name", sorted(set(COLUMNS) - NO_INDEX))
def test_indexes_of_every_kind(name: str) -> None:
    index = pd.Index(COLUMNS[name], name=name)
    check(index)
    check(pd.DataFrame({"x": range(N)}, index=index))
    check(pd.DataFrame({"x": range(N)}, index=index).T if index.is_unique else index)
    check(pd.Series(pd.Categorical(COLUMNS[name])))


ALL = pd.DataFrame(COLUMNS)


@pytest.mark.parametrize(
    "frame",
    {
        "all": ALL,
        "no rows": ALL[:0],
        "no columns": ALL[[]],
        "nothing": pd.DataFrame(),
        "every other": ALL[::2],
        "same names": pd.DataFrame([[1, "a"], [2, "b"]], columns=["x", "x"]),
        "odd names": pd.DataFrame(np.zeros((2, 4)), columns=[1, "a", (1, 2), dt.date(2020, 1, 1)]),
        "levels of names": pd.DataFrame(
            np.zeros((2, 4)),
            columns=pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None]),
        ),
        "levels": ALL.set_index(["small", "category", "date"]),
        "fewer than levels": ALL.set_index(["small", "category"]).iloc[1:3],
        "range": pd.DataFrame({"a": range(3)}, index=pd.RangeIndex(9, 0, -3, name="r")),
        "wide": pd.DataFrame(np.arange(600.0).reshape(3, 200)),
        "rhythm": pd.DataFrame({"a": range(5)}, index=pd.bdate_range("2020", periods=5)),
        "no duplicates": pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False),
    }.items(),
    ids=lambda item: item[0],
)
def test_frames_of_every_kind(frame: tuple[str, pd.DataFrame]) -> None:
    assert check(frame[1]) == "arrow"


def test_attributes_of_a_frame() -> None:
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = {"source": ("file", 1), "when": dt.date(2020, 1, 1)}
    check(frame)
    frame.attrs = {"model": Record(1)}
    with pytest.raises(ValueTransferError, match="Record"):
        values.encode(frame, allow_pickle=False)


@pytest.mark.parametrize("name", [None, "s", 3, (1, "a"), dt.date(2020, 1, 1)])
def test_names_of_a_series(name: Any) -> None:
    check(pd.Series([1, 2], name=name))


dtypes = st.sampled_from(
    ["i8", "u1", "f8", "f4", "bool", "M8[ns]", "M8[s]", "m8[us]", "Int32", "string", "object"]
)


@st.composite
def frames(draw: Any) -> pd.DataFrame:
    """Return a frame with columns of several types, and with gaps where a type has any."""
    rows = draw(st.integers(0, 8))
    columns = {}
    for number, dtype in enumerate(draw(st.lists(dtypes, max_size=5))):
        raw = draw(st.lists(st.none() | st.integers(0, 100), min_size=rows, max_size=rows))
        if dtype in ("Int32", "string"):
            texts = [None if n is None else str(n) for n in raw]
            columns[number] = pd.array(texts if dtype == "string" else raw, dtype=dtype)
        elif dtype == "object":
            columns[number] = pd.Series(raw, dtype=object)
        elif dtype[0] in "Mmf":
            gap = {"M": "NaT", "m": "NaT", "f": np.nan}[dtype[0]]
            columns[number] = np.array([gap if n is None else n for n in raw], dtype)
        else:
            columns[number] = np.array([n or 0 for n in raw], dtype)
    frame = pd.DataFrame(columns, index=pd.RangeIndex(rows))
    if rows and draw(st.booleans()):
        frame = frame.sample(frac=1.0, random_state=draw(st.integers(0, 9)))
    return frame


@settings(deadline=None)
@given(frames())
def test_any_frame(frame: pd.DataFrame) -> None:
    assert check(frame) == "arrow"


def test_what_arrives_can_be_changed() -> None:
    _, back = there_and_back(ALL)
    for name in ("float", "small", "bool", "date", "zone", "str", "category", "Int16", "none"):
        back.loc[0, name] = back.loc[2, name]
    back["new"] = back["float"] * 2
    back.drop(index=0)
    _, series = there_and_back(ALL["float"])
    series.iloc[0] = 9
    assert series.iloc[0] == 9


# What comes down may mean harm


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


# Parcels


def reading(data: bytes) -> parcel.Stream:
    """Return a parcel that comes in small pieces."""
    rest = memoryview(data)

    def read_into(view: memoryview) -> int:
        nonlocal rest
        count = min(len(rest), view.nbytes, 100_000)
        view[:count] = rest[:count]
        rest = rest[count:]
        return count

    return parcel.Stream(read_into, len(data))


def packed(**named: Any) -> bytes:
    return b"".join(parcel.pack(named, allow_pickle=False))


def test_a_parcel_holds_values_of_any_size(tmp_path: Path) -> None:
    named = {"small": 1, "big": np.arange(400_000.0), "frame": ALL, "nothing": None}
    data = packed(**named)
    path = tmp_path / "parcel"
    path.write_bytes(data)
    with path.open("rb") as file:
        for source in (reading(data), parcel.File(file.fileno())):
            back = parcel.unpack(source)
            assert_same(back, named)
            back["big"][0] = 5
    assert path.read_bytes() == data  # what was changed is a copy


def test_an_encoded_value_is_packed_as_it_is() -> None:
    assert packed(a=values.encode((1, 2))) == packed(a=(1, 2))


@pytest.mark.parametrize("cut", [0, 3, 15, 20, 60, -1])
def test_half_a_parcel_is_refused(cut: int) -> None:
    data = packed(a=np.arange(300_000.0), b=1)
    with pytest.raises((ValueTransferError, EOFError)):
        parcel.unpack(reading(data[:cut]))


def test_a_table_that_promises_too_much_is_refused() -> None:
    parts = sections.join(b"[]", [])
    data = bytearray(b"".join(parts))
    data[4:8] = b"\xff\xff\xff\xff"
    with pytest.raises(ValueTransferError):
        parcel.unpack(reading(bytes(data)))


def test_a_refused_value_is_named() -> None:
    with pytest.raises(ValueTransferError, match="second: A"):
        parcel.pack({"first": 1, "second": Record(1)}, allow_pickle=False)


def test_near_names() -> None:
    with pytest.raises(ValueTransferError, match="Near names: accuracy"):
        parcel.chosen({"accuracy": 1, "_accuracy": 2}, ["acuracy"])
    with pytest.raises(ValueTransferError, match="Run the cell there"):
        parcel.chosen({"open": open, "_opens": 2}, ["opens"])


def test_tree_tags_are_never_taken_from_a_user_s_dict() -> None:
    node = tree.Writer().node({"$": "cloudpickle", "v": 1})
    assert node == {"$": "dict", "v": [["$", "cloudpickle"], ["v", 1]]}
