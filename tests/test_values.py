"""Values encoded and decoded again, and what is refused."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouditia_jupyter import values
from clouditia_jupyter.errors import ValueTransferError

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _there_and_back(value: Any) -> tuple[str, Any]:
    fmt, data = values.encode(value, allow_pickle=False)
    return fmt, values.decode(fmt, data)


@given(plain)
def test_plain_values_are_json(value: Any) -> None:
    assert _there_and_back(value) == ("json", value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.asfortranarray(np.arange(12).reshape(3, 4)),
        np.array([], dtype="datetime64[ns]"),
        np.array(["a", "bc"]),
        np.zeros(3, dtype=[("x", "f4"), ("y", "i8")]),
    ],
)
def test_arrays_are_npy(array: np.ndarray) -> None:
    fmt, back = _there_and_back(array)
    assert fmt == "npy"
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_a_numpy_scalar_stays_one() -> None:
    fmt, back = _there_and_back(np.float32(1.5))
    assert (fmt, type(back), back) == ("npy", np.float32, np.float32(1.5))


FRAME = pd.DataFrame(
    {
        "number": [1.5, None, 3.0],
        "count": pd.array([1, None, 3], dtype="Int64"),
        "when": pd.to_datetime(["2026-01-01", "2026-01-02", None]).tz_localize("Europe/Paris"),
        "kind": pd.Categorical(["a", "b", "a"], categories=["b", "a"], ordered=True),
        "text": ["x", None, "é"],
    },
    index=pd.Index([10, 20, 30], name="id"),
)


def test_frames_keep_dtypes_index_and_categories() -> None:
    fmt, back = _there_and_back(FRAME)
    assert fmt == "arrow"
    pd.testing.assert_frame_equal(back, FRAME)


@pytest.mark.parametrize("name", [None, "s", 3])
def test_series_keep_name_and_index(name: Any) -> None:
    series = FRAME["number"].rename(name)
    fmt, back = _there_and_back(series)
    assert fmt == "arrow"
    pd.testing.assert_series_equal(back, series)


def test_a_multi_index_survives() -> None:
    frame = FRAME.set_index("kind", append=True)
    pd.testing.assert_frame_equal(_there_and_back(frame)[1], frame)


@pytest.mark.parametrize(
    "value", [(1, 2), {1: 2}, {3}, dt.date(2026, 1, 1), np.array([object()]), lambda: 1]
)
def test_what_only_pickle_carries_is_refused_unless_allowed(value: Any) -> None:
    with pytest.raises(ValueTransferError, match="--trust-pickle"):
        values.encode(value, allow_pickle=False)
    fmt, data = values.encode(value)
    assert fmt == "cloudpickle"
    with pytest.raises(ValueTransferError, match="--trust-pickle"):
        values.decode(fmt, data)


def test_a_pickle_is_never_run_unasked(tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (mark.write_text, ("sprung",))

    fmt, data = values.encode(Trap())
    for lie in values.FORMATS:
        if lie != "bytes":
            with pytest.raises(Exception):  # noqa: B017  each format's own complaint
                values.decode(lie, data)
    assert not mark.exists()
    values.decode(fmt, data, allow_pickle=True)
    assert mark.read_text() == "sprung"


def test_what_cannot_be_pickled_says_so() -> None:
    with pytest.raises(ValueTransferError, match="Make it in the session"):
        values.encode(threading.Lock())


def test_an_unknown_format_names_the_way_out() -> None:
    with pytest.raises(ValueTransferError, match="Update"):
        values.decode("smoke", b"")
