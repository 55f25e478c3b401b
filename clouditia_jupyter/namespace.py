"""What the names of a session stand for: looked up before a cell takes some along.

Runs in the session, on a pod and in the agent alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any


def look_up(
    namespace: dict[str, Any], names: Iterable[str], modules: Mapping[str, str]
) -> dict[str, Any]:
    """Say which names there are, and import the modules that are not there yet.

    Parameters
    ----------
    names
        Names to look for.
    modules
        Full names of modules, by the name that each is to have.

    Returns
    -------
    dict
        ``present``, those of all these names that the namespace had; ``imported``, those of
        modules that it has now; ``failed``, by name, why a module could not be imported.
    """
    present = [name for name in (*names, *modules) if name in namespace]
    imported, failed = [], {}
    for name, module in modules.items():
        if name in present:
            continue
        try:
            namespace[name] = import_module(module)
        except Exception as error:
            failed[name] = f"{type(error).__name__}: {error}"
        else:
            imported.append(name)
    return {"present": present, "imported": imported, "failed": failed}
