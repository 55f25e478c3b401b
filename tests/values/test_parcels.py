"""Parcels: several values in one piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clouditia_jupyter import values
from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values import parcel, sections, tree
from tests.values.columns import ALL
from tests.values.crossing import Record, assert_same


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
