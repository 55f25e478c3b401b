"""What callers pass: checked before anything is sent, and turned into request bodies."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from clouditia_jupyter.errors import InvalidRequestError
from clouditia_jupyter.models import GPUSession


def non_empty(what: str, value: Any) -> str:
    """Return ``value`` without surrounding blanks, or refuse it where nothing is left."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise InvalidRequestError(f"{what} is empty; give a text that names one.")
    return text


def positive(what: str, value: float) -> float:
    """Return ``value``, or refuse one that is not a number above 0."""
    if not _is_number(value) or value <= 0:
        raise InvalidRequestError(f"{what} is {value!r}; give a number above 0.")
    return value


def whole(what: str, value: Any) -> int:
    """Return ``value``, or refuse one that is not a whole number of 1 or more."""
    if isinstance(value, bool) or not _is_number(value) or value != int(value) or value < 1:
        raise InvalidRequestError(f"{what} is {value!r}; give a whole number, 1 or more.")
    return int(value)


def identifier(name: str) -> str:
    """Return ``name``, or refuse one that no Python variable can have."""
    if not isinstance(name, str) or not name.isidentifier():
        raise InvalidRequestError(f"{name!r} is no variable name; give one like 'df'.")
    return name


def session_id(value: str | GPUSession) -> str:
    """Return the id to send for a session given by id, short id or as an object."""
    if isinstance(value, GPUSession):
        return value.id
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise InvalidRequestError(
            "The session id is empty; list_sessions() shows the sessions and their ids."
        )
    return text


def session_ids(values: Iterable[str | GPUSession]) -> list[str]:
    """Return the ids to send for several sessions."""
    if isinstance(values, (str, GPUSession)):
        values = [values]
    ids = [session_id(value) for value in values]
    if not ids:
        raise InvalidRequestError("No session is named; pass at least one session id.")
    return ids


def queue_id(value: str) -> str:
    """Return the id to send for a ticket."""
    text = value.strip() if isinstance(value, str) else ""
    if not text:
        raise InvalidRequestError(
            "The queue id is empty; list_queue_jobs() shows the tickets and their ids."
        )
    return text


def one_of(what: str, value: str | None, known: Iterable[str]) -> str | None:
    """Return ``value``, or refuse one that is not among ``known``; None passes."""
    known = tuple(known)
    if value is not None and value not in known:
        raise InvalidRequestError(f"{what} is {value!r}; give one of {', '.join(known)}.")
    return value


def creation_body(
    *,
    gpu_type: str | None,
    gpu_count: int,
    gpus: Iterable[Mapping[str, Any]] | None,
    vcpu: int,
    ram: int,
    storage: int,
    allow_partial: bool,
    queue_if_unavailable: bool,
    cost_limit: float | None,
    duration_limit: float | None,
    extra_config: Mapping[str, Any] | None = None,
    environment_id: str | None = None,
    cluster_id: str | None = None,
) -> dict[str, Any]:
    """Return the body of a create, with everything in it checked."""
    body: dict[str, Any] = {
        "vcpu": whole("vcpu", vcpu),
        "ram": whole("ram (GB)", ram),
        "storage": whole("storage (GB)", storage),
        "allow_partial": bool(allow_partial),
        "queue_if_unavailable": bool(queue_if_unavailable),
    }
    if (gpu_type is None) == (gpus is None):
        raise InvalidRequestError(
            "Give either gpu_type (with gpu_count), or gpus for several types; "
            "get_inventory() shows the types on offer."
        )
    if gpus is not None:
        body["gpus"] = [_gpu(item) for item in gpus]
        if not body["gpus"]:
            raise InvalidRequestError(
                "gpus is empty; give at least one {'type': …, 'count': …}, "
                "with a type from get_inventory()."
            )
        if gpu_count != 1:
            raise InvalidRequestError("gpu_count goes with gpu_type; in gpus, each has its count.")
    else:
        body["gpu_type"] = _slug(gpu_type)
        body["gpu_count"] = whole("gpu_count", gpu_count)
    if cost_limit is not None:
        body["cost_limit"] = positive("cost_limit (EUR)", cost_limit)
    if duration_limit is not None:
        body["duration_limit"] = whole("duration_limit (seconds)", duration_limit)
    optional = {
        "extra_config": None if extra_config is None else dict(extra_config),
        "environment_id": environment_id,
        "cluster_id": cluster_id,
    }
    return {**body, **{key: value for key, value in optional.items() if value is not None}}


def requested_gpus(body: Mapping[str, Any]) -> dict[str, int]:
    """Return how many GPUs of each type a create's body asks for."""
    if "gpus" not in body:
        return {body["gpu_type"]: body["gpu_count"]}
    counts: dict[str, int] = {}
    for item in body["gpus"]:
        counts[item["type"]] = counts.get(item["type"], 0) + item["count"]
    return counts


def describe_gpus(body: Mapping[str, Any]) -> str:
    """Return the GPUs of a create's body in words: a slug, or ``1x a, 1x b``."""
    if "gpus" in body:
        return ", ".join(f"{item['count']}x {item['type']}" for item in body["gpus"])
    count, slug = body["gpu_count"], body["gpu_type"]
    return str(slug) if count == 1 else f"{count}x {slug}"


def _gpu(item: Any) -> dict[str, Any]:
    if not isinstance(item, Mapping) or not set(item) <= {"type", "count"}:
        raise InvalidRequestError(
            f"gpus holds {item!r}; each is {{'type': slug, 'count': number}}."
        )
    return {"type": _slug(item.get("type")), "count": whole("count", item.get("count", 1))}


def _slug(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequestError(
            "The GPU type is empty; give a slug such as nvidia-rtx-3090 (get_inventory() has them)."
        )
    return value.strip()


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
