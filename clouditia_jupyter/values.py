"""How a variable crosses between two Python processes: as bytes, beside the code.

Formats, in the order they are tried: ``npy`` for NumPy arrays and scalars, ``arrow`` for
DataFrames and Series (dtypes, index, time zones and categoricals kept), ``json`` for plain values,
``bytes`` for bytes, and ``cloudpickle`` for the rest: functions, classes, models.

Nothing is ever unpickled here unless the caller says so: cloudpickle goes up, into the user's own
session, and comes down only with ``allow_pickle=True``.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, BinaryIO

from clouditia_jupyter.errors import ValueTransferError

FORMATS = ("npy", "arrow", "json", "bytes", "cloudpickle")

_PANDAS_KEY = b"clouditia"


def encode(value: Any, *, allow_pickle: bool = True) -> tuple[str, bytes]:
    """Return ``(format, data)`` for ``value``.

    Raises
    ------
    ValueTransferError
        If only pickle could carry the value and it is not allowed, or fails.
    """
    buffer = io.BytesIO()
    fmt = _write(value, buffer, allow_pickle)
    return fmt, buffer.getvalue()


def decode(fmt: str, data: bytes, *, allow_pickle: bool = False) -> Any:
    """Return the value that :func:`encode` made ``data`` of.

    Raises
    ------
    ValueTransferError
        If ``fmt`` is unknown, or is ``cloudpickle`` and that is not allowed.
    """
    return _read(fmt, io.BytesIO(data), allow_pickle)


def dump(value: Any, path: str, *, allow_pickle: bool) -> str:
    """Write ``value`` to the file at ``path`` and return its format; see :func:`encode`."""
    with Path(path).open("wb") as file:
        return _write(value, file, allow_pickle)


def load(fmt: str, path: str) -> Any:
    """Return the value in the file at ``path``, pickled ones included: the session's own side."""
    with Path(path).open("rb") as file:
        return _read(fmt, file, allow_pickle=True)


def _write(value: Any, file: BinaryIO, allow_pickle: bool) -> str:
    module = type(value).__module__.partition(".")[0]
    if module == "numpy" and _write_npy(value, file):
        return "npy"
    if module == "pandas" and _write_arrow(value, file):
        return "arrow"
    if isinstance(value, (bytes, bytearray)):
        file.write(value)
        return "bytes"
    if _is_plain(value):
        file.write(json.dumps(value).encode())
        return "json"
    if not allow_pickle:
        raise ValueTransferError(
            f"A {type(value).__module__}.{type(value).__qualname__} can only come as a pickle, "
            "which could run code here. Fetch something plain instead (.to_numpy(), .tolist(), "
            "a DataFrame), or say --trust-pickle."
        )
    try:
        import cloudpickle

        cloudpickle.dump(value, file, protocol=5)
    except ImportError as error:
        raise ValueTransferError(
            "This value needs cloudpickle. Install it: pip install 'clouditia_jupyter[transfer]'."
        ) from error
    except Exception as error:
        raise ValueTransferError(
            f"A {type(value).__qualname__} cannot be sent ({error}). Make it in the session."
        ) from error
    return "cloudpickle"


def _read(fmt: str, file: BinaryIO, allow_pickle: bool) -> Any:
    if fmt == "npy":
        import numpy as np

        array = np.load(file, allow_pickle=False)
        return array if array.ndim else array[()]
    if fmt == "arrow":
        return _read_arrow(file)
    if fmt == "json":
        return json.loads(file.read())
    if fmt == "bytes":
        return file.read()
    if fmt == "cloudpickle" and allow_pickle:
        import cloudpickle

        return cloudpickle.load(file)
    if fmt == "cloudpickle":
        raise ValueTransferError(
            "The session sent a pickle, which could run code here. Say --trust-pickle to accept it."
        )
    raise ValueTransferError(
        f"The format {fmt!r} is unknown here. Update clouditia_jupyter on the older side."
    )


def _is_plain(value: Any) -> bool:
    """Say whether JSON gives back exactly this value: no tuple, no key that is not a string."""
    if value is None or type(value) in (bool, int, float, str):
        return True
    if type(value) is list:
        return all(map(_is_plain, value))
    return type(value) is dict and all(
        type(key) is str and _is_plain(item) for key, item in value.items()
    )


def _write_npy(value: Any, file: BinaryIO) -> bool:
    import numpy as np

    # a subclass (masked, matrix) would come back as its base: not this value any more
    if not (type(value) is np.ndarray or isinstance(value, np.generic)):
        return False
    array = np.asanyarray(value)
    if array.dtype.hasobject:
        return False
    np.lib.format.write_array(file, array, allow_pickle=False)
    return True


def _write_arrow(value: Any, file: BinaryIO) -> bool:
    import pandas as pd

    kind = type(value)
    if kind not in (pd.DataFrame, pd.Series):
        return False
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ValueTransferError(
            "DataFrames need pyarrow. Install it: pip install 'clouditia_jupyter[transfer]'."
        ) from error
    note: dict[str, Any] = {"series": kind is pd.Series}
    if kind is pd.Series:
        note["name"] = value.name if _is_plain(value.name) else str(value.name)
        value = value.to_frame("values")
    try:
        table = pa.Table.from_pandas(value)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, ValueError):
        return False  # columns of arbitrary objects
    metadata = {**(table.schema.metadata or {}), _PANDAS_KEY: json.dumps(note).encode()}
    table = table.replace_schema_metadata(metadata)
    with pa.ipc.new_file(pa.PythonFile(file, "w"), table.schema) as writer:
        writer.write_table(table)
    return True


def _read_arrow(file: BinaryIO) -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ValueTransferError(
            "DataFrames need pyarrow. Install it: pip install 'clouditia_jupyter[transfer]'."
        ) from error
    table = pa.ipc.open_file(pa.PythonFile(file, "r")).read_all()
    note = json.loads((table.schema.metadata or {}).get(_PANDAS_KEY, b"{}"))
    frame = table.to_pandas()
    return frame["values"].rename(note.get("name")) if note.get("series") else frame
