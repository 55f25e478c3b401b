"""In the kernel process: the variables of the session's cells, to and from parcels.

The pod calls these functions by name, as silent expressions between two cells. The first two
return a dict that is empty where all went well, and ``{"refused": message}`` where it did not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from clouditia_jupyter.errors import ValueTransferError


def put(counter: str, parcel: str) -> dict[str, str]:
    """Bind all values of a parcel, which is at the counter, or none of them."""
    from clouditia_jupyter.values.handover import Counter
    from clouditia_jupyter.values.parcel import File, unpack_into

    try:
        with Counter(counter) as there:
            fd = there.take(parcel)
        if fd is None:
            return {"refused": "The variables were withdrawn before the session took them."}
        try:
            unpack_into(_namespace(), File(fd))
        finally:
            os.close(fd)
    except Exception as error:
        return {"refused": _reason(error)}
    return {}


def get(counter: str, parcel: str, names: Sequence[str], allow_pickle: bool) -> dict[str, str]:
    """Leave a parcel with the variables of these names at the counter."""
    from clouditia_jupyter.values.handover import Counter, sealed
    from clouditia_jupyter.values.parcel import chosen, pack

    try:
        fd = sealed(pack(chosen(_namespace(), names), allow_pickle=allow_pickle))
        try:
            with Counter(counter) as there:
                there.leave(parcel, fd)
        finally:
            os.close(fd)
    except Exception as error:
        return {"refused": _reason(error)}
    return {}


def look_up(names: list[str], modules: dict[str, str]) -> dict[str, Any]:
    """Say which names there are, and import modules; see :func:`namespace.look_up`."""
    from clouditia_jupyter import namespace

    return namespace.look_up(_namespace(), names, modules)


def _namespace() -> dict[str, Any]:
    from IPython import get_ipython

    namespace: dict[str, Any] = get_ipython().user_ns
    return namespace


def _reason(error: Exception) -> str:
    if isinstance(error, ValueTransferError):
        return str(error)
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == 12:
        return "The session has not enough memory for that. Create one with more --ram."
    if getattr(error, "errno", None) == 27:
        return "The session's files may not be that large. Create one with more --storage."
    return f"The session could not do it ({type(error).__name__}: {error})."
