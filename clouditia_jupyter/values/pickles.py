"""What only pickle can carry: functions, classes, models. Up, or down where the user trusts it."""

from __future__ import annotations

import io
import pickle
from typing import Any, Optional

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values.home import Home
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


def load(data: Memory, home: Optional[Home] = None) -> Any:  # noqa: UP045 (3.9)
    """Return the value: this runs code of the sender's choice.

    Parameters
    ----------
    home
        Where functions of a notebook are at home from now on; by default each in a namespace of
        its own.
    """
    head, sections = split(data)
    if home is None:
        return pickle.loads(head, buffers=sections)
    return _Unpickler(head, sections, home).load()


class _Unpickler(pickle.Unpickler):
    """Puts in the place of what cloudpickle makes functions with what a home makes them with."""

    def __init__(self, head: Any, sections: Any, home: Home) -> None:
        super().__init__(io.BytesIO(head), buffers=sections)
        self._home = home

    def find_class(self, module: str, name: str) -> Any:
        found = super().find_class(module, name)
        if module.partition(".")[0] == "cloudpickle":
            if name == "_make_function":
                return self._home.maker(found)
            if name == "_function_setstate":
                return self._home.setter(found)
        return found
