"""Columns of every kind."""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

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
ALL = pd.DataFrame(COLUMNS)
