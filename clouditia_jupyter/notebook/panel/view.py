"""What the panel shows of an account, as plain values: numbers and moments that the page words.

A cost that grows is shown by what it was, since when, and how fast it grows; so nothing has to be
sent for it to move. Moments are Unix times of this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouditia_jupyter.models import CREATION_STEPS, LIVE_STATUSES, format_duration, gigabytes
from clouditia_jupyter.notebook.wording import money, step_words, wanted

if TYPE_CHECKING:
    from clouditia_jupyter.client.overview import Overview
    from clouditia_jupyter.models import GPUInventory, GPUSession, QueueAttempt, QueueJob

Row = dict[str, Any]

#: Statuses of the sessions that have a row of their own; the others are among the costs.
SHOWN = LIVE_STATUSES | {"paused", "archived"}


def sections(overview: Overview, current: str | None) -> dict[str, Any]:
    """Return everything that an overview decides, by the name of the widget's part."""
    names = {item.gpu_type: item.gpu_name or item.gpu_type for item in overview.inventory}
    shown = [session for session in overview.sessions if session.status in SHOWN]
    return {
        "account": account(overview),
        "sessions": [session_row(overview, session, names, current) for session in shown],
        "offer": [offer_row(item) for item in overview.inventory],
        "costs": [cost_row(overview, session, names) for session in overview.sessions],
        "queue": [ticket_row(overview, ticket) for ticket in overview.tickets],
        "runs": run_rows(overview),
    }


def account(overview: Overview) -> Row:
    """Return whose account it is, and what it has."""
    return {
        "user": str(overview.user.get("username") or ""),
        "credit": overview.credit,
        "currency": overview.currency,
        "speed": overview.hands.rate,
    }


def meter(overview: Overview, session: GPUSession) -> Row:
    """Return a cost, and how it grows: EUR per hour of this machine's clock."""
    grows = session.cost_since is not None
    return {
        "cost": session.cost,
        "since": overview.hands.local(session.cost_since) if session.cost_since else None,
        "rate": (session.hourly_rate or 0.0) * overview.hands.rate if grows else 0.0,
        "cap": session.cost_limit,
    }


def session_row(
    overview: Overview, session: GPUSession, names: dict[str, str], current: str | None
) -> Row:
    """Return a session as its row shows it; never its password."""
    step = session.creation_step
    said = overview.activity.get(session.id) or {}
    runs = said.get("runs") or ()
    running = next((run for run in runs if run["status"] == "running"), None)
    return {
        **meter(overview, session),
        "id": session.id,
        "name": session.name or session.short_id,
        "status": session.status,
        "step": step if session.status in ("pending", "creating") else "",
        "error": session.creation_error,
        "gpu": gpus(session, names),
        "machine": _machine(session),
        "url": session.url if session.url.startswith(("http://", "https://")) else "",
        "started": _moment(overview, session.started_at),
        "limits": limits(session),
        "price": session.hourly_rate,
        "current": session.id == current,
        "watched": bool(said),
        "queued": sum(run["status"] == "queued" for run in runs),
        "run": running and {"line": running["first_line"], "started": running["started_at"]},
    }


def offer_row(item: GPUInventory) -> Row:
    """Return a GPU type on offer."""
    return {
        "id": item.gpu_type,
        "name": item.gpu_name or item.gpu_type,
        "available": item.available,
        "in_use": item.in_use,
        "total": item.total,
        "price": item.price_per_hour,
        "place": item.datacenter or item.cluster_name,
    }


def cost_row(overview: Overview, session: GPUSession, names: dict[str, str]) -> Row:
    """Return what a session has cost, and for how long it ran."""
    return {
        **meter(overview, session),
        "id": session.id,
        "name": session.name or session.short_id,
        "status": session.status,
        "gpu": gpus(session, names),
        "started": _moment(overview, session.started_at),
        "ended": _moment(overview, session.ended_at),
        "price": session.hourly_rate,
        "reason": session.stop_reason,
    }


def ticket_row(overview: Overview, ticket: QueueJob) -> Row:
    """Return a ticket and the last tries to serve it."""
    tries = overview.attempts.get(ticket.queue_id) or ()
    return {
        "id": ticket.queue_id,
        "position": ticket.position or None,
        "status": ticket.status,
        "wants": wanted(ticket.gpu_config),
        "machine": f"{ticket.vcpu} vCPU, {ticket.ram} GB, {ticket.storage} GB disk",
        "tries": ticket.attempt_count,
        "tried": _moment(overview, ticket.last_attempt_at),
        "error": ticket.last_error or "",
        "created": _moment(overview, ticket.created_at),
        "session": (ticket.created_session_id or "")[:8],
        "attempts": [
            {"at": _moment(overview, each.attempted_at), "text": _outcome(each)} for each in tries
        ],
    }


def _outcome(attempt: QueueAttempt) -> str:
    if attempt.success:
        return "served"
    missing = ", ".join(attempt.unavailable_gpus)
    return f"not free: {missing}" if missing else attempt.error_message or "not served"


def run_rows(overview: Overview) -> list[Row]:
    """Return the latest runs of the sessions that run, the newest first."""
    rows = [
        {
            "id": str(run["run_id"]),
            "session": session.name or session.short_id,
            "status": run["status"],
            "line": run["first_line"],
            "started": run["started_at"],
            "seconds": run["seconds"],
            "rate": (session.hourly_rate or 0.0) * overview.hands.rate,
        }
        for session in overview.sessions
        for run in (overview.activity.get(session.id) or {}).get("runs") or ()
    ]
    # one that is queued has not started, and is newer than all that have
    return sorted(rows, key=lambda row: row["started"] or float("inf"), reverse=True)


def gpus(session: GPUSession, names: dict[str, str]) -> str:
    """Return a session's GPUs in words: ``2 × NVIDIA RTX 3090``."""
    kinds = [(str(gpu.get("slug") or "?"), int(gpu.get("quantity") or 1)) for gpu in session.gpus]
    kinds = kinds or [(session.gpu_type, session.gpu_count)]
    return ", ".join(
        f"{number} × {names.get(slug, slug)}" if number > 1 else names.get(slug, slug)
        for slug, number in kinds
    )


def limits(session: GPUSession) -> str:
    """Return what stops a session by itself; nothing where nothing does."""
    parts = []
    if session.cost_limit is not None:
        parts.append(money(session.cost_limit))
    if session.duration_limit is not None:
        parts.append(format_duration(session.duration_limit))
    return " or ".join(parts)


def progress(session: GPUSession) -> Row:
    """Return how far a session is that is being made."""
    step = session.creation_step
    steps = list(CREATION_STEPS)
    ready = session.status == "running"
    done = len(steps) if ready else steps.index(step) if step in steps else 0
    return {"steps": [step_words(one) for one in steps], "done": done}


def _machine(session: GPUSession) -> str:
    sizes = [f"{session.vcpu} vCPU"] if session.vcpu else []
    for size, what in ((session.ram, "RAM"), (session.storage, "disk")):
        number = gigabytes(size)
        if number:
            sizes.append(f"{number:g} GB {what}")
    return ", ".join(sizes)


def _moment(overview: Overview, when: Any) -> float | None:
    return None if when is None else round(overview.hands.local(when), 3)
