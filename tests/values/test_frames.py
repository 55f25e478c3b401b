"""Frames, series and indexes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clouditia_jupyter import values
from clouditia_jupyter.errors import ValueTransferError
from tests.values.columns import ALL, COLUMNS, N
from tests.values.crossing import Record, check, there_and_back

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
