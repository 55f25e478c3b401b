"""What only pickle can carry: functions, classes, models. Up, or down where the user trusts it."""

from __future__ import annotations

import pickle
from typing import Any

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values.sections import Buffer, Memory, join, split


def dump(value: Any) -> list[Buffer]:
    """Return the parts of the pickle; big buffers in the value are not copied.

    Raises
    ------
    ValueTransferError
        If the value cannot be pickled.
    """
    try:
        import cloudpickle
    except ImportError as error:
        raise ValueTransferError(
            "This value needs cloudpickle. Install it: pip install 'clouditia_jupyter[transfer]'."
        ) from error
    beside: list[pickle.PickleBuffer] = []
    try:
        head = cloudpickle.dumps(value, protocol=5, buffer_callback=beside.append)
        sections = [[buffer.raw()] for buffer in beside]
    except Exception as error:
        raise ValueTransferError(
            f"A {type(value).__qualname__} cannot be sent ({error}). Make it in the session."
        ) from error
    return join(head, sections)


def load(data: Memory) -> Any:
    """Return the value: this runs code of the sender's choice."""
    head, sections = split(data)
    return pickle.loads(head, buffers=sections)
