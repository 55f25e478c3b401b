"""Arrays, scalars and sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import sparse

from clouditia_jupyter import values
from tests.values.crossing import check, there_and_back

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
