"""What the wire carries: frozen dataclasses, and the one decoder that makes them.

Unknown keys are ignored; a missing key takes the documented default, or is refused where there
is none. Money is EUR, times are timezone-aware datetimes, sizes keep the wire's own form
(``"16Gi"``) with a number of GB beside it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime, timezone
from functools import singledispatch
from typing import Any, TypedDict, TypeVar

from clouditia_jupyter.errors import APIError

T = TypeVar("T")

#: The order in which a new session goes through its ``creation_step``.
CREATION_STEPS = (
    "queued",
    "validating",
    "powering_on",
    "waiting_power",
    "waiting_nodes",
    "waiting_k8s",
    "deploying",
    "waiting_ready",
    "ready",
)

SESSION_STATUSES = (
    "pending",
    "creating",
    "running",
    "pausing",
    "paused",
    "archived",
    "stopping",
    "stopped",
    "failed",
)
#: Statuses in which a session holds its GPUs.
LIVE_STATUSES = frozenset({"pending", "creating", "running", "pausing", "stopping"})

QUEUE_STATUSES = ("pending", "processing", "completed", "failed", "cancelled")


def parse_time(value: Any) -> datetime | None:
    """Return an aware datetime from ISO 8601 with ``Z`` or an offset; None stays None."""
    if value in (None, ""):
        return None
    if isinstance(value, datetime):
        return value
    when = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", str(value)))
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def format_time(value: datetime | None) -> str | None:
    """Return ISO 8601 in UTC with ``Z``; the inverse of :func:`parse_time`."""
    if value is None:
        return None
    return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def format_duration(seconds: float) -> str:
    """Return ``2h 30m 15s``, leaving out leading zero parts."""
    hours, rest = divmod(int(seconds), 3600)
    minutes, secs = divmod(rest, 60)
    if hours:
        return f"{hours}h {minutes}m {secs}s"
    return f"{minutes}m {secs}s" if minutes else f"{secs}s"


def gigabytes(value: Any) -> float | None:
    """Return the number of GB in ``"16Gi"``, ``16`` or ``"16"``; None where there is none."""
    match = re.match(r"\s*([0-9.]+)", str(value))
    return float(match.group(1)) if match else None


def _optional(convert: Callable[[Any], T]) -> Callable[[Any], T | None]:
    return lambda value: None if value is None or value == "" else convert(value)


def _wire(convert: Callable[[Any], Any] | None = None, default: Any = MISSING, **kw: Any) -> Any:
    """Return a field that ``convert`` makes from the wire's value."""
    if default is not MISSING:
        kw["default"] = default
    return field(metadata={"convert": convert}, **kw)


def decode(cls: type[T], data: Mapping[str, Any]) -> T:
    """Return a ``cls`` made of the wire's ``data``.

    Raises
    ------
    APIError
        If a field without a default is missing, or a value has no meaning there.
    """
    values: dict[str, Any] = {}
    for item in fields(cls):  # type: ignore[arg-type]
        if not item.init or item.name not in data:
            continue
        raw, convert = data[item.name], item.metadata.get("convert")
        if raw is None and not (item.default is MISSING and item.default_factory is MISSING):
            continue
        try:
            values[item.name] = raw if convert is None else convert(raw)
        except (TypeError, ValueError) as error:
            raise APIError(
                f"The service sent {item.name}={raw!r}, which is no {cls.__name__} field value."
            ) from error
    try:
        return cls(**values)
    except TypeError as error:
        raise APIError(f"The service sent an incomplete {cls.__name__}: {error}.") from error


@singledispatch
def card(item: object) -> str | None:
    """Return ``item`` as HTML for a notebook; None where nobody has registered how it looks."""
    return None


class Shown:
    """What a notebook shows as a :func:`card`; everything else shows its repr."""

    __slots__ = ()

    def _text(self) -> str:
        return repr(self)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, str]:
        makers: dict[str, Callable[[], str | None]] = {
            "text/plain": self._text,
            "text/html": lambda: card(self),
        }
        wanted = [
            kind
            for kind in makers
            if (not include or kind in include) and kind not in (exclude or ())
        ]
        return {kind: made for kind in wanted if (made := makers[kind]()) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class GPUSession(Shown):
    """A rented machine with its GPUs, as it was when the service answered.

    Attributes
    ----------
    id, short_id
        The UUID, and its first 8 characters, which every call takes as well.
    gpu_type
        Slug, comma-separated slugs where they are mixed.
    gpus
        ``[{"slug": str, "quantity": int}]``.
    vcpu, ram, storage
        Count; GB as ``"16Gi"``.
    cost_limit, duration_limit
        EUR and seconds after which the session stops by itself; None is no limit.
    password
        Of the session's own web page. Not part of the repr.
    hourly_rate, cost, ended_at, stop_reason
        EUR per hour, EUR so far, and when and why it ended (``"user"``, ``"cost_limit"``, …); the
        stock service sends none of them.
    cost_since
        In an overview only: the moment that ``cost`` is of, from which on it grows.
    clock_rate
        Seconds that are billed for each real one: 1 but on a platform with a simulated clock.
    """

    id: str = _wire(str)
    name: str = _wire(str, "")
    status: str = _wire(str, "pending")
    gpu_type: str = _wire(str, "")
    gpu_count: int = _wire(int, 1)
    gpus: list[dict[str, Any]] = _wire(list, default_factory=list)
    vcpu: int = _wire(int, 0)
    ram: str = _wire(str, "")
    storage: str = _wire(str, "")
    url: str = _wire(str, "")
    password: str = _wire(str, "", repr=False)
    vscode_port: int | None = _wire(_optional(int), None)
    jupyter_port: int | None = _wire(_optional(int), None)
    created_at: datetime | None = _wire(parse_time, None)
    started_at: datetime | None = _wire(parse_time, None)
    cost_limit: float | None = _wire(_optional(float), None)
    duration_limit: int | None = _wire(_optional(int), None)
    auto_stop_enabled: bool = _wire(bool, False)
    ready: bool = _wire(bool, False)
    estimated_ready_in_seconds: float | None = _wire(_optional(float), None)
    workspace_sync: dict[str, Any] | None = _wire(None, None)
    creation_step: str = _wire(str, "")
    creation_error: str = _wire(str, "")
    environment_id: str | None = _wire(_optional(str), None)
    unavailable_gpus: list[str] = _wire(list, default_factory=list)
    hourly_rate: float | None = _wire(_optional(float), None)
    cost: float | None = _wire(_optional(float), None)
    ended_at: datetime | None = _wire(parse_time, None)
    stop_reason: str = _wire(str, "")
    cost_since: datetime | None = _wire(parse_time, None)
    clock_rate: float = _wire(float, 1.0)

    @property
    def short_id(self) -> str:
        """The first 8 characters of the id."""
        return self.id[:8]

    @classmethod
    def from_wire(cls, data: Mapping[str, Any]) -> GPUSession:
        """Return the session that an answer's ``session`` object describes.

        An older server sends no ``ready``: there, running means ready.
        """
        flat = {**data, **(data.get("limits") or {})}
        flat.setdefault("ready", flat.get("status") == "running")
        return decode(cls, flat)


@dataclass(frozen=True, slots=True, kw_only=True)
class GPUInventory(Shown):
    """One GPU type on offer; prices in EUR per hour and GPU."""

    gpu_type: str = _wire(str)
    gpu_name: str = _wire(str, "")
    available: int = _wire(int, 0)
    price_per_hour: float = _wire(float, 0.0)
    on_demand: int = _wire(int, 0)
    in_use: int = _wire(int, 0)
    total: int = _wire(int, 0)
    datacenter: str = _wire(str, "")
    datacenter_code: str = _wire(str, "")
    cluster_id: str | None = _wire(_optional(str), None)
    cluster_name: str = _wire(str, "")


class Inventory(list[GPUInventory], Shown):
    """The GPU types on offer, in the service's order."""

    def _text(self) -> str:
        # as IPython breaks the lines of a list
        return f"[{(chr(10) + ' ').join(f'{item!r},' for item in self).removesuffix(',')}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A group of machines that a session can be asked to run on."""

    cluster_id: str = _wire(str)
    name: str = _wire(str, "")
    is_primary: bool = _wire(bool, False)
    gpu_count: int = _wire(int, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueJob(Shown):
    """A ticket: a place in the queue for a session that could not be created at once."""

    queue_id: str = _wire(str)
    position: int = _wire(int, 0)
    status: str = _wire(str, "pending")
    status_display: str = _wire(str, "")
    gpu_config: dict[str, Any] = _wire(dict, default_factory=dict)
    vcpu: int = _wire(int, 0)
    ram: int = _wire(int, 0)
    storage: int = _wire(int, 0)
    allow_partial: bool = _wire(bool, False)
    attempt_count: int = _wire(int, 0)
    last_attempt_at: datetime | None = _wire(parse_time, None)
    last_error: str | None = _wire(_optional(str), None)
    created_at: datetime | None = _wire(parse_time, None)
    created_session_id: str | None = _wire(_optional(str), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueAttempt:
    """One try to serve a ticket."""

    attempt_id: str = _wire(str)
    success: bool = _wire(bool, False)
    error_message: str | None = _wire(_optional(str), None)
    available_gpus: list[str] = _wire(list, default_factory=list)
    unavailable_gpus: list[str] = _wire(list, default_factory=list)
    attempted_at: datetime | None = _wire(parse_time, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One line of a run's event log.

    Attributes
    ----------
    seq
        1 for the run's first event, then without a gap; what ``after`` counts.
    type
        A Jupyter output type (``stream``, ``display_data``, ``execute_result``, ``error``,
        ``update_display_data``, ``clear_output``), ``input_request``, a widget's ``comm_open``,
        ``comm_msg`` or ``comm_close``, ``payload`` (what the code asks of the front end), or
        ``done``, the last one.
    content
        The Jupyter message content. An ``error`` with which the run ended has ``final``; after
        others it went on. For ``done``: ``status`` (``ok``, ``error``, ``lost``),
        ``execution_count``, ``seconds``, and for ``error`` its ``ename`` and ``evalue``.
    metadata, buffers
        Of a widget's message; nothing otherwise.
    parent
        Outside of runs: the ``msg_id`` or run that this comes of.
    kernel
        Of a widget's message: the process that the widget lives in.
    """

    seq: int
    type: str
    content: dict[str, Any]
    metadata: dict[str, Any] | None = None
    buffers: tuple[bytes, ...] = ()
    parent: str = ""
    kernel: str = ""


class SessionCost(TypedDict):
    """What one session has cost so far; EUR and seconds."""

    session_id: str
    short_id: str
    name: str
    status: str
    cost: float
    hourly_rate: float
    duration_seconds: float
    duration_hours: float
    duration_display: str
    started_at: str | None
    ended_at: str | None
    currency: str


class SessionCosts(TypedDict):
    """What several sessions have cost so far; EUR and seconds."""

    sessions: list[SessionCost]
    session_count: int
    total_cost: float
    total_duration_seconds: float
    total_duration_display: str
    currency: str
