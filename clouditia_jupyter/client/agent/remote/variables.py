"""The variables of the cells, to and from files."""

from __future__ import annotations

import difflib
from typing import Any

from clouditia_jupyter import values
from clouditia_jupyter.errors import ValueTransferError


def bind(namespace: dict[str, Any], command: dict[str, Any]) -> dict[str, Any]:
    """Put the value in a file into the namespace."""
    namespace[command["name"]] = values.load(command["format"], command["path"])
    return {}


def fetch(namespace: dict[str, Any], command: dict[str, Any]) -> dict[str, Any]:
    """Encode a variable into a file; return its ``format``, or why not."""
    name = command["name"]
    if name not in namespace:
        public = [key for key in namespace if not key.startswith("_")]
        near = ", ".join(difflib.get_close_matches(name, public, n=5, cutoff=0.5))
        hint = f" Near names: {near}." if near else ""
        return {"refused": f"The session has no variable {name!r}.{hint}"}
    path = command["path"]
    try:
        return {"format": values.dump(namespace[name], path, allow_pickle=command["allow_pickle"])}
    except ValueTransferError as error:
        return {"refused": str(error)}
