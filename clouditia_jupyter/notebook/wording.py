"""How sessions, money and keys are put into words."""

from __future__ import annotations

from datetime import timezone
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.models import format_duration, gigabytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from clouditia_jupyter.models import GPUSession, QueueJob
    from clouditia_jupyter.notebook.meter import Meter

_STEP_WORDS = {
    "queued": "queued",
    "validating": "checking the request",
    "powering_on": "powering the machine on",
    "waiting_power": "waiting for power",
    "waiting_nodes": "waiting for the machine",
    "waiting_k8s": "waiting for the cluster",
    "deploying": "deploying",
    "waiting_ready": "starting the kernel",
    "ready": "ready",
    "error": "failed",
}


def money(value: float | None, currency: str = "EUR") -> str:
    """Return an amount to read: cents, or four digits where cents would say nothing."""
    if value is None:
        return f"? {currency}"
    digits = 4 if 0.00005 <= abs(value) < 0.1 else 2
    return f"{value:.{digits}f} {currency}"


def step_words(step: str) -> str:
    """Return what a session that is made is doing in a ``creation_step``."""
    return _STEP_WORDS.get(step, step)


def masked(key: str) -> str:
    """Return a key with its middle left out: ``sk_live_abcd…wxyz``."""
    head = key[: len("sk_live_") + 4]
    return f"{head}…{key[-4:]}" if len(key) > len(head) + 8 else f"{key[:4]}…"


def described(session: GPUSession, *, head: bool = True) -> str:
    """Return what there is to know of a session, in a few lines; not its password."""
    rows = facts(session)
    if head:
        rows = {"Session": session.name, "Status": status(session), **rows}
    return "\n".join(f"  {name:<8}  {value}" for name, value in rows.items() if value)


def status(session: GPUSession) -> str:
    """Return a session's status, with its step while it is being made."""
    step = f" ({session.creation_step})" if session.status in ("pending", "creating") else ""
    return f"{session.status}{step}"


def facts(session: GPUSession) -> dict[str, str]:
    """Return what there is to know of a session besides its name and status; not its password."""
    gpus = [f"{gpu.get('quantity', 1)} x {gpu.get('slug', '?')}" for gpu in session.gpus]
    rows = {
        "Id": session.id,
        "GPU": ", ".join(gpus) or f"{session.gpu_count} x {session.gpu_type}",
        "Machine": _machine(session),
        "Cost": _cost(session),
        "Limits": _limits(session),
        "Page": session.url,
        "Failed": session.creation_error,
        "Stopped": session.stop_reason,
    }
    return {name: value for name, value in rows.items() if value}


def ticket_facts(ticket: QueueJob) -> dict[str, str]:
    """Return what there is to know of a ticket besides its status."""
    tries = str(ticket.attempt_count)
    if ticket.last_attempt_at is not None:
        tries += f", the last at {_moment(ticket.last_attempt_at)}"
    rows = {
        "Id": ticket.queue_id,
        "GPU": wanted(ticket.gpu_config),
        "Machine": _machine(ticket),
        "Place": str(ticket.position or ""),
        "Since": _moment(ticket.created_at),
        "Attempts": tries,
        "Missing": ticket.last_error or "",
        "Session": ticket.created_session_id or "",
    }
    return {name: value for name, value in rows.items() if value}


def wanted(gpu_config: Mapping[str, Any]) -> str:
    """Return the GPUs that a ticket asks for: ``2 x nvidia-rtx-3090``."""
    kinds = gpu_config.get("gpus") or [gpu_config]
    parts = []
    for kind in kinds:
        slug = kind.get("type") or kind.get("slug") or kind.get("gpu_type") or ""
        number = kind.get("count") or kind.get("quantity") or kind.get("gpu_count") or 1
        parts.append(f"{number} x {slug}" if slug else "")
    return ", ".join(part for part in parts if part)


def spent(session: GPUSession, meter: Meter, seconds: float) -> str:
    """Return the line below a cell: its time, its GPU, its cost, and the session's so far."""
    return _line_of(seconds, session.gpu_type, meter.cost_of(seconds), meter.so_far())


def spent_in_all(rows: Sequence[tuple[Meter, float]]) -> str:
    """Return the line below a cell that ran in several sessions, of each meter and seconds."""
    costs = [meter.cost_of(seconds) for meter, seconds in rows]
    so_far = [meter.so_far() for meter, _ in rows]
    return _line_of(
        max(seconds for _, seconds in rows),
        f"{len(rows)} sessions",
        None if None in costs else sum(filter(None, costs)),
        None if None in so_far else sum(filter(None, so_far)),
    )


def _line_of(seconds: float, where: str, cost: float | None, so_far: float | None) -> str:
    parts = [format_duration(seconds) if seconds >= 60 else f"{seconds:.2f} s", where]
    if cost is not None:
        parts.append(money(cost))
    if so_far is not None:
        parts.append(f"{money(so_far)} so far")
    return " · ".join(part for part in parts if part)


def _machine(rented: GPUSession | QueueJob) -> str:
    return f"{rented.vcpu} vCPU, {_gb(rented.ram)} memory, {_gb(rented.storage)} disk"


def _moment(when: datetime | None) -> str:
    return "" if when is None else f"{when.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _gb(size: str | float) -> str:
    number = gigabytes(size)
    return str(size) if number is None else f"{number:g} GB"


def _cost(session: GPUSession) -> str:
    parts = []
    if session.cost:
        parts.append(f"{money(session.cost)} so far")
    if session.hourly_rate is not None:
        parts.append(f"{money(session.hourly_rate)} per hour")
    return ", ".join(parts)


def _limits(session: GPUSession) -> str:
    parts = []
    if session.cost_limit is not None:
        parts.append(money(session.cost_limit))
    if session.duration_limit is not None:
        parts.append(format_duration(session.duration_limit))
    return f"stops by itself after {' or '.join(parts)}" if parts else ""
