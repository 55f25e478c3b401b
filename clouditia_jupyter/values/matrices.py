"""SciPy's sparse matrices in the tree: their arrays, and nothing else of them."""

from __future__ import annotations

from typing import Any

from scipy import sparse

from clouditia_jupyter.values import arrays
from clouditia_jupyter.values.kinds import Kind
from clouditia_jupyter.values.tree import Reader, UnknownError, Writer

#: What each layout is made of, besides its shape.
_PARTS = {
    "csr": ("data", "indices", "indptr"),
    "csc": ("data", "indices", "indptr"),
    "bsr": ("data", "indices", "indptr"),
    "coo": ("data", "row", "col"),
    "dia": ("data", "offsets"),
}


def _write(writer: Writer, value: Any) -> Any:
    parts = [getattr(value, name) for name in _PARTS[value.format]]
    if not all(map(arrays.is_plain, parts)):
        raise UnknownError(type(value))
    return [list(value.shape), *(writer.leaf(arrays.dump(part)) for part in parts)]


def _reader(kind: Any, layout: str) -> Any:
    def read(reader: Reader, node: Any) -> Any:
        shape, *leaves = node
        parts = [arrays.load(reader.leaf(leaf)) for leaf in leaves]
        if layout == "coo":
            data, row, column = parts
            parts = [data, (row, column)]
        made = kind(tuple(parts), shape=tuple(shape))
        if hasattr(made, "check_format"):
            made.check_format()  # indices that lead out of the arrays crash
        return made

    return read


KINDS = tuple(
    Kind(f"scipy.{layout}_{flavour}", kind, _write, _reader(kind, layout))
    for layout in _PARTS
    for flavour in ("matrix", "array")
    if (kind := getattr(sparse, f"{layout}_{flavour}", None)) is not None
)
