"""How a session goes from one status to the next.

Each function is one transaction's work and looks at the status it finds, so a repeated or late
call changes nothing: a stop that comes twice charges once, a pod that answers after the session
was stopped does not bring it back.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, update

from clouditia_jupyter.platform import allocation, keys, ledger, sessions, tickets
from clouditia_jupyter.platform.store.schema import sessions as table

_STARTING = ("pending", "creating")


def advance(connection: Connection, session_id: str, step: str) -> bool:
    """Note the creation step; False if the session is no longer being created."""
    return _move(connection, session_id, _STARTING, status="creating", creation_step=step)


def place(connection: Connection, session_id: str, pod: str) -> bool:
    """Note which pod is to be the session; False if it is no longer being created.

    Before the pod is told: one that is a session lives on when the platform does not.
    """
    return _move(
        connection,
        session_id,
        _STARTING,
        status="creating",
        creation_step="waiting_ready",
        pod=pod,
    )


def start(connection: Connection, session_id: str, now: datetime) -> bool:
    """Make the session run, and its meter with it; False if it is no longer being created."""
    started = _move(
        connection,
        session_id,
        _STARTING,
        status="running",
        creation_step="ready",
        started_at=now,
        rate_since=now,
        last_seen_at=now,
    )
    if started:
        tickets.settle(connection, session_id, error=None)
    return started


def fail_creation(connection: Connection, session_id: str, error: str, now: datetime) -> bool:
    """Give up creating the session: nothing is billed, its GPUs are free again."""
    failed = _move(
        connection,
        session_id,
        _STARTING,
        status="failed",
        creation_step="error",
        creation_error=error,
        ended_at=now,
        stop_reason="creation_failed",
    )
    if failed:
        tickets.settle(connection, session_id, error=error)
        _let_go(connection, session_id, now)
    return failed


def begin_stop(connection: Connection, session_id: str, reason: str, now: datetime) -> bool:
    """End the session's billing and keys; its GPUs stay taken until the pod is gone.

    Returns
    -------
    bool
        False if the session had been stopped before.
    """
    if _move(
        connection, session_id, _STARTING, status="stopping", ended_at=now, stop_reason=reason
    ):
        tickets.settle(connection, session_id, error=None)
    elif not _end_billing(connection, session_id, "stopping", reason, now):
        return False
    keys.revoke_session(connection, session_id, now)
    return True


def finish_stop(connection: Connection, session_id: str, now: datetime) -> bool:
    """Note that the pod is gone and free its GPUs."""
    stopped = _move(connection, session_id, ("stopping",), status="stopped")
    if stopped:
        _let_go(connection, session_id, now)
    return stopped


def lose(connection: Connection, session_id: str, now: datetime) -> bool:
    """Note that the pod was found gone: the session cost what it did while last seen alive."""
    row = sessions.load(connection, session_id).row
    seen = min(row.last_seen_at or now, now)
    lost = _end_billing(connection, session_id, "failed", "pod_lost", seen)
    if lost:
        _let_go(connection, session_id, now)
    return lost


def _end_billing(
    connection: Connection, session_id: str, status: str, reason: str, now: datetime
) -> bool:
    session = sessions.load(connection, session_id)
    if session.status != "running":
        return False
    meter = session.meter
    due = meter.due()
    if due is not None and due.at <= now:  # it should have stopped before: bill no longer
        now, reason = due.at, due.reason
    cost = ledger.charge(connection, session.row.account_id, session_id, meter.cost(now), now)
    return _move(
        connection,
        session_id,
        ("running",),
        status=status,
        ended_at=now,
        stop_reason=reason,
        accrued=cost,
    )


def _let_go(connection: Connection, session_id: str, now: datetime) -> None:
    allocation.release(connection, session_id)
    keys.revoke_session(connection, session_id, now)


def _move(
    connection: Connection, session_id: str, statuses: tuple[str, ...], **values: Any
) -> bool:
    moved = connection.execute(
        update(table).where(table.c.id == session_id, table.c.status.in_(statuses)).values(**values)
    )
    return bool(moved.rowcount)
