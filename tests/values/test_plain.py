"""Plain values, and what only a pickle carries."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import fractions
import json
import pathlib
import types
import uuid
import zoneinfo
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouditia_jupyter import values
from clouditia_jupyter.errors import ValueTransferError
from tests.values.crossing import MyList, Pair, Record, check

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
    with pytest.raises(
        ValueTransferError, match=r"A dict that holds a tests\.values\.crossing\.Record"
    ):
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
