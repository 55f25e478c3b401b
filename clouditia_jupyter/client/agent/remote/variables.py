"""The variables of the cells, to and from parcels in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.values.parcel import File, chosen, pack, unpack_into


def bind(namespace: dict[str, Any], command: dict[str, Any]) -> dict[str, Any]:
    """Put all values of the parcel in a file into the namespace, or none, and say why not."""
    try:
        with Path(command["path"]).open("rb") as file:
            unpack_into(namespace, File(file.fileno()))
    except FileNotFoundError:
        return {"refused": "The variables were gone before the session took them. Send them again."}
    except ValueTransferError as error:
        return {"refused": str(error)}
    return {}


def fetch(namespace: dict[str, Any], command: dict[str, Any]) -> dict[str, Any]:
    """Write a parcel of variables into a file; return its ``size``, or why there is none."""
    try:
        values = chosen(namespace, command["names"])
        parts = pack(values, allow_pickle=command["allow_pickle"])
    except ValueTransferError as error:
        return {"refused": str(error)}
    with Path(command["path"]).open("wb") as file:
        for part in parts:
            file.write(part)
        return {"size": file.tell()}
