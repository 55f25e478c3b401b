"""What the tests of values share: there and back, equal and of the same type."""

from __future__ import annotations

import collections
import dataclasses
import decimal
import math
from typing import Any

import numpy as np
import pandas as pd

from clouditia_jupyter import values


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


@dataclasses.dataclass
class Record:
    """One of a user's own classes."""

    field: int


Pair = collections.namedtuple("Pair", "a b")


class MyList(list[int]):
    """A subclass: what it adds would be lost."""
