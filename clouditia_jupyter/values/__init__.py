"""How variables cross between two Python processes: as bytes, beside the code.

Formats: ``npy`` for NumPy arrays, ``arrow`` for DataFrames, Series and the like (dtypes, index,
time zones, categoricals kept), ``json`` for plain values and containers of them, ``bundle`` for
containers that hold arrays or frames, ``bytes`` for bytes, and ``cloudpickle`` for the rest:
functions, classes, models.

Nothing is ever unpickled here unless the caller says so: cloudpickle goes up, into the user's own
session, and comes down only with ``allow_pickle=True``. What comes down may be made to do harm, so
every reader takes what it knows and refuses the rest.

This package also travels to sessions of services without variables, in the agent: it runs on
Python 3.9 and imports nothing of the rest but the error.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values import pickles, tree
from clouditia_jupyter.values.home import Home
from clouditia_jupyter.values.sections import Buffer, Memory, join, size_of, split

FORMATS = ("npy", "arrow", "json", "bundle", "bytes", "cloudpickle")


class Encoded(NamedTuple):
    """A value as bytes.

    Attributes
    ----------
    format
        One of ``FORMATS``.
    parts
        The bytes, in order. Those of big arrays are the array's own memory: not to be changed
        until they have been sent.
    """

    format: str
    parts: list[Buffer]

    @property
    def size(self) -> int:
        """How many bytes there are."""
        return size_of(self.parts)


def encode(value: Any, *, allow_pickle: bool = True) -> Encoded:
    """Return ``value`` as bytes, without copying what is big in it.

    Raises
    ------
    ValueTransferError
        If only pickle could carry the value and it is not allowed, or fails.
    """
    try:
        if type(value) is bytes:
            return Encoded("bytes", [value])
        library = type(value).__module__.partition(".")[0]
        if library == "numpy":
            from clouditia_jupyter.values import arrays

            if arrays.is_plain(value):
                return Encoded("npy", arrays.dump(value))
        if library == "pandas":
            from clouditia_jupyter.values import frames

            if frames.is_whole(value):
                return Encoded("arrow", frames.dump(value))
        writer = tree.Writer()
        head = tree.dump(writer.node(value))
    except tree.UnknownError as unknown:
        if not allow_pickle:
            raise ValueTransferError(_refusal(value, unknown.kind)) from None
        return Encoded("cloudpickle", pickles.dump(value))
    if writer.sections:
        return Encoded("bundle", join(head, writer.sections))
    return Encoded("json", [head])


def decode(
    fmt: str,
    data: Memory,
    *,
    allow_pickle: bool = False,
    home: Optional[Home] = None,  # noqa: UP045 (3.9)
) -> Any:
    """Return the value that :func:`encode` made ``data`` of.

    Parameters
    ----------
    data
        Writable memory, for the arrays in the value are views of it.
    home
        Where functions of a notebook are at home from now on.

    Raises
    ------
    ValueTransferError
        If ``data`` is none of ``fmt``, or ``fmt`` is ``cloudpickle`` and that is not allowed.
    """
    if fmt == "cloudpickle" and not allow_pickle:
        raise ValueTransferError(
            "The session sent a pickle, which could run code here. Say --trust-pickle to accept it."
        )
    try:
        if fmt == "cloudpickle":
            return pickles.load(data, home)
        if fmt == "bytes":
            return bytes(data)
        if fmt == "json":
            return tree.Reader().load(data)
        if fmt == "bundle":
            head, sections = split(data)
            return tree.Reader(sections).load(head)
        if fmt == "npy":
            from clouditia_jupyter.values import arrays

            return arrays.load(data)
        if fmt == "arrow":
            from clouditia_jupyter.values import frames

            return frames.load(data)
    except (ValueTransferError, MemoryError):
        raise
    except Exception as error:
        if fmt == "cloudpickle":  # the classes' own doing
            raise
        raise ValueTransferError(
            f"What came is no {fmt} that can be read here ({type(error).__name__}: {error})."
        ) from error
    raise ValueTransferError(
        f"The format {fmt!r} is unknown here. Update clouditia_jupyter on the older side."
    )


def _refusal(value: Any, kind: type) -> str:
    name = f"{kind.__module__}.{kind.__qualname__}".replace("builtins.", "")
    what = f"A {name}"
    if type(value) is not kind:
        what = f"A {type(value).__qualname__} that holds a {name}"
    return (
        f"{what} can only come as a pickle, which could run code here. Fetch something plain "
        "instead (.to_numpy(), .tolist(), a dict, a DataFrame), or say --trust-pickle."
    )
