"""Plain values as JSON, with a tag where JSON has no such type.

``{"$": "tuple", "v": [1, 2]}`` is a tuple; a dict that has the key ``$``, or keys that are no
strings, is written with a tag itself, so that nothing is mistaken. Only exact types are written:
what a subclass adds would be lost. Arrays, frames and long bytes are *leaves*, which lie in
sections beside the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values.sections import Buffer, Memory, size_of

_TAG = "$"
_PLAIN = frozenset({str, bool, type(None), float})
#: Python refuses decimal digits of integers that are longer than about this.
_LONG = 1 << 10_000
#: Leaves up to so many bytes are written into the JSON.
_SHORT = 1 << 10


class UnknownError(Exception):
    """A value has no form here; ``kind`` is the type for which that is so."""

    def __init__(self, kind: type) -> None:
        super().__init__(kind)
        self.kind = kind


def dump(node: Any) -> bytes:
    """Return a node's JSON. NaN and infinities are in Python's own dialect of it."""
    text = json.dumps(node, ensure_ascii=False, separators=(",", ":"))
    # a lone surrogate is a fine character of a Python string
    return text.encode("utf-8", "surrogatepass")


class Writer:
    """Turns values into nodes, which JSON can carry, and sections.

    Parameters
    ----------
    inline
        Whether there is no place for sections: all leaves are written into the JSON.
    """

    def __init__(self, *, inline: bool = False) -> None:
        self.sections: list[list[Buffer]] = []
        self._inline = inline

    def node(self, value: Any) -> Any:
        """Return the node of a value.

        Raises
        ------
        UnknownError
            If it has none.
        """
        try:
            return self._node(value)
        except RecursionError:  # it may even contain itself, which pickle can carry
            raise UnknownError(type(value)) from None

    def _node(self, value: Any) -> Any:
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is int:
            return value if -_LONG < value < _LONG else _tagged("int", hex(value))
        if kind is list:
            return self._list(value)
        if kind is dict:
            return self._dict(value)
        from clouditia_jupyter.values import kinds

        known = kinds.writer_of(kind)
        if known is None:
            raise UnknownError(kind)
        name, write = known
        return _tagged(name, write(self, value))

    def _list(self, items: list[Any]) -> list[Any]:
        if set(map(type, items)) <= _PLAIN:
            return items
        return [self._node(item) for item in items]

    def _dict(self, value: dict[Any, Any]) -> Any:
        if set(map(type, value)) <= {str} and _TAG not in value:
            return {key: self._node(item) for key, item in value.items()}
        return _tagged("dict", self.pairs(value))

    def pairs(self, value: Any) -> list[Any]:
        """Return the items of any kind of dict as nodes."""
        return [[self._node(key), self._node(item)] for key, item in value.items()]

    def items(self, value: Any) -> list[Any]:
        """Return the elements of any kind of sequence or set as nodes."""
        return self._list(list(value))

    def leaf(self, parts: Sequence[Buffer]) -> Any:
        """Return what stands in the JSON for bytes: their text, or the number of their section."""
        if self._inline or size_of(parts) <= _SHORT:
            return b"".join(parts).decode("latin-1")
        self.sections.append(list(parts))
        return len(self.sections) - 1


class Reader:
    """Turns nodes back into values.

    Parameters
    ----------
    sections
        Those that the writer made.
    """

    def __init__(self, sections: Sequence[Memory] = ()) -> None:
        self._sections = sections

    def load(self, data: Memory) -> Any:
        """Return the value that the JSON in ``data`` describes.

        Raises
        ------
        ValueTransferError
            If it has a tag that is unknown here.
        """
        text = bytes(data).decode("utf-8", "surrogatepass")
        # tags are read from the inside out, and what they make is no JSON object any more
        return json.loads(text, object_hook=self._value)

    def _value(self, found: dict[str, Any]) -> Any:
        if _TAG not in found:
            return found
        from clouditia_jupyter.values import kinds

        read = kinds.reader_of(found[_TAG])
        if read is None:
            raise ValueTransferError(
                f"A {found[_TAG]} is unknown here. Update clouditia_jupyter on the older side."
            )
        return read(self, found["v"])

    def leaf(self, stands: Any) -> Memory:
        """Return the bytes of a leaf, writable."""
        if isinstance(stands, str):
            return bytearray(stands, "latin-1")
        if not 0 <= stands < len(self._sections):
            raise ValueTransferError("What came names a section that it does not have.")
        section: Memory = self._sections[stands]
        return section


def _tagged(name: str, node: Any) -> dict[str, Any]:
    return {_TAG: name, "v": node}
