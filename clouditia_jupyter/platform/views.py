"""From rows to what the wire shows of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from clouditia_jupyter.models import format_duration, format_time
from clouditia_jupyter.platform import answers
from clouditia_jupyter.platform.money import to_eur
from clouditia_jupyter.platform.requests import SessionRequest
from clouditia_jupyter.platform.service import Settings
from clouditia_jupyter.platform.sessions import Session

#: What a new session usually takes to be ready; a spare pod is faster.
_USUAL_SECONDS_TO_READY = 2.0

_STATUS_DISPLAY = {
    "pending": "Waiting",
    "processing": "Being created",
    "completed": "Completed",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


def session_answer(session: Session, settings: Settings, now: datetime) -> answers.SessionAnswer:
    """Return the session as the wire shows it."""
    row = session.row
    ready = row.status == "running"
    coming = row.status in ("pending", "creating")
    extensions: dict[str, Any] = {}
    if not settings.stock:
        extensions = {
            "hourly_rate": to_eur(row.rate),
            "cost": to_eur(session.meter.cost(now)),
            "ended_at": format_time(row.ended_at),
            "stop_reason": row.stop_reason,
            "clock_rate": settings.clock_rate,
        }
    return answers.SessionAnswer(
        id=row.id,
        name=row.name,
        status=row.status,
        gpu_type=",".join(session.gpus),
        gpu_count=sum(session.gpus.values()),
        gpus=[
            answers.GPUQuantity(slug=slug, quantity=quantity)
            for slug, quantity in session.gpus.items()
        ],
        vcpu=row.vcpu,
        ram=f"{row.ram_gb}Gi",
        storage=f"{row.storage_gb}Gi",
        vscode_port=None,
        jupyter_port=None,
        password=row.password,
        url=f"{settings.code_editor_url}/{row.id[:8]}/",
        created_at=_time(row.created_at),
        started_at=format_time(row.started_at),
        limits=answers.LimitsAnswer(
            cost_limit=None if row.cost_limit is None else to_eur(row.cost_limit),
            duration_limit=row.duration_limit,
            auto_stop_enabled=row.cost_limit is not None or row.duration_limit is not None,
        ),
        ready=ready,
        estimated_ready_in_seconds=_estimate(ready, coming),
        workspace_sync=None,
        creation_step=row.creation_step,
        creation_error=row.creation_error,
        environment_id=row.environment_id,
        **extensions,
    )


def _estimate(ready: bool, coming: bool) -> float | None:
    if ready:
        return 0.0
    return _USUAL_SECONDS_TO_READY if coming else None


def cost_answer(session: Session, now: datetime) -> answers.CostAnswer:
    """Return what the session has cost so far."""
    row, meter = session.row, session.meter
    seconds = meter.duration(now).total_seconds()
    return answers.CostAnswer(
        session_id=row.id,
        short_id=row.id[:8],
        name=row.name,
        status=row.status,
        cost=to_eur(meter.cost(now)),
        hourly_rate=to_eur(row.rate),
        duration_seconds=seconds,
        duration_hours=seconds / 3600,
        duration_display=format_duration(seconds),
        started_at=format_time(row.started_at),
        ended_at=format_time(row.ended_at),
        currency="EUR",
    )


def costs_answer(found: Sequence[Session], now: datetime) -> answers.CostsAnswer:
    """Return what the sessions have cost so far, and in all."""
    seconds = sum(session.meter.duration(now).total_seconds() for session in found)
    return answers.CostsAnswer(
        sessions=[cost_answer(session, now) for session in found],
        session_count=len(found),
        total_cost=to_eur(sum(session.meter.cost(now) for session in found)),
        total_duration_seconds=seconds,
        total_duration_display=format_duration(seconds),
    )


def queue_job_answer(row: Row[Any], positions: Mapping[str, int]) -> answers.QueueJobAnswer:
    """Return the ticket as the wire shows it."""
    request = SessionRequest.from_json(row.request)
    return answers.QueueJobAnswer(
        queue_id=row.id,
        position=positions.get(row.id, 0),
        status=row.status,
        status_display=_STATUS_DISPLAY[row.status],
        gpu_config={
            **request.extra_config,
            "gpus": [{"type": slug, "count": count} for slug, count in request.gpus.items()],
        },
        vcpu=request.vcpu,
        ram=request.ram,
        storage=request.storage,
        allow_partial=request.allow_partial,
        attempt_count=row.attempt_count,
        last_attempt_at=format_time(row.last_attempt_at),
        last_error=row.last_error,
        created_at=_time(row.created_at),
        created_session_id=row.created_session_id,
    )


def attempt_answer(row: Row[Any]) -> answers.AttemptAnswer:
    """Return the attempt as the wire shows it."""
    return answers.AttemptAnswer(
        attempt_id=row.id,
        success=row.success,
        error_message=row.error_message,
        available_gpus=row.available_gpus,
        unavailable_gpus=row.unavailable_gpus,
        attempted_at=_time(row.attempted_at),
    )


def _time(value: datetime) -> str:
    return format_time(value) or ""
