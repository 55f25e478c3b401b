"""Tables as DataFrames: real dtypes, indexed by id, the same columns with no rows as with many.

Only the columns that are named here get into a table, so no password, key or link can.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pandas as pd

from clouditia_jupyter.models import gigabytes, parse_time
from clouditia_jupyter.notebook.wording import wanted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from clouditia_jupyter.models import (
        GPUInventory,
        GPUSession,
        QueueAttempt,
        QueueJob,
        SessionCost,
    )
    from clouditia_jupyter.notebook.meter import Meter

TEXT, TIME, NUMBER, COUNT, TRUTH = "string", "datetime64[ns, UTC]", "float64", "Int64", "bool"

INVENTORY = {
    "gpu_type": TEXT,
    "gpu_name": TEXT,
    "available": COUNT,
    "in_use": COUNT,
    "total": COUNT,
    "price_per_hour": NUMBER,
    "on_demand": TRUTH,
    "datacenter": TEXT,
    "cluster_name": TEXT,
}
SESSIONS = {
    "id": TEXT,
    "name": TEXT,
    "status": TEXT,
    "gpu_type": TEXT,
    "gpu_count": COUNT,
    "vcpu": COUNT,
    "ram_gb": NUMBER,
    "storage_gb": NUMBER,
    "created_at": TIME,
    "started_at": TIME,
    "ended_at": TIME,
    "hourly_rate": NUMBER,
    "cost": NUMBER,
    "cost_limit": NUMBER,
    "duration_limit": COUNT,
    "stop_reason": TEXT,
}
COSTS = {
    "session_id": TEXT,
    "name": TEXT,
    "status": TEXT,
    "cost": NUMBER,
    "hourly_rate": NUMBER,
    "duration_seconds": NUMBER,
    "started_at": TIME,
    "ended_at": TIME,
    "currency": TEXT,
}
QUEUE = {
    "queue_id": TEXT,
    "position": COUNT,
    "status": TEXT,
    "gpus": TEXT,
    "vcpu": COUNT,
    "ram_gb": NUMBER,
    "storage_gb": NUMBER,
    "allow_partial": TRUTH,
    "attempt_count": COUNT,
    "last_attempt_at": TIME,
    "last_error": TEXT,
    "created_at": TIME,
    "created_session_id": TEXT,
}
ATTEMPTS = {
    "attempt_id": TEXT,
    "attempted_at": TIME,
    "success": TRUTH,
    "error_message": TEXT,
    "available_gpus": TEXT,
    "unavailable_gpus": TEXT,
}
RUNS = {
    "run_id": TEXT,
    "session": TEXT,
    "gpu": TEXT,
    "started": TIME,
    "seconds": NUMBER,
    "euros": NUMBER,
    "status": TEXT,
    "first_line": TEXT,
}


def inventory(items: Iterable[GPUInventory]) -> pd.DataFrame:
    """Return the GPUs on offer, one type a row; prices in EUR per hour and GPU."""
    return _frame(INVENTORY, [_fields(item, INVENTORY) for item in items])


def sessions(items: Iterable[GPUSession]) -> pd.DataFrame:
    """Return sessions; sizes in GB, money in EUR, times in UTC, ``duration_limit`` in seconds."""
    rows = [
        {
            **_fields(item, SESSIONS),
            "ram_gb": gigabytes(item.ram),
            "storage_gb": gigabytes(item.storage),
        }
        for item in items
    ]
    return _frame(SESSIONS, rows)


def costs(items: Iterable[SessionCost]) -> pd.DataFrame:
    """Return what sessions have cost so far, in EUR and seconds."""
    rows = [{name: item.get(name) for name in COSTS} for item in items]
    for row in rows:
        row.update({name: parse_time(row[name]) for name in ("started_at", "ended_at")})
    return _frame(COSTS, rows)


def queue(items: Iterable[QueueJob]) -> pd.DataFrame:
    """Return tickets in the order of their positions; sizes in GB, times in UTC."""
    rows = [
        {
            **_fields(item, QUEUE),
            "gpus": wanted(item.gpu_config),
            "ram_gb": gigabytes(item.ram),
            "storage_gb": gigabytes(item.storage),
        }
        for item in items
    ]
    return _frame(QUEUE, rows)


def attempts(items: Iterable[QueueAttempt]) -> pd.DataFrame:
    """Return the tries to serve a ticket, times in UTC."""
    rows = [
        {
            **_fields(item, ATTEMPTS),
            "available_gpus": ", ".join(item.available_gpus),
            "unavailable_gpus": ", ".join(item.unavailable_gpus),
        }
        for item in items
    ]
    return _frame(ATTEMPTS, rows)


def runs(items: Iterable[tuple[GPUSession, Meter, Mapping[str, Any]]]) -> pd.DataFrame:
    """Return the runs of sessions, started in UTC by the session's clock; no start is queued."""
    rows = [
        {
            **{name: run.get(name) for name in RUNS},
            "session": session.name,
            "gpu": session.gpu_type,
            "started": _moment(run.get("started_at")),
            # how long one ran that was lost with its session, nobody knows
            "euros": None if run.get("seconds") is None else meter.cost_of(float(run["seconds"])),
        }
        for session, meter, run in items
    ]
    return _frame(RUNS, rows)


def _moment(seconds: float | None) -> datetime | None:
    """Return the UTC time of a Unix time."""
    return None if seconds is None else datetime.fromtimestamp(seconds, timezone.utc)


def _fields(item: Any, columns: Mapping[str, str]) -> dict[str, Any]:
    return {name: getattr(item, name, None) for name in columns}


def _frame(columns: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    index: Any = next(iter(columns))
    data: dict[Any, pd.Series[Any]] = {}
    for name, dtype in columns.items():
        column: Any = [row[name] for row in rows]
        kind: Any = dtype
        if dtype == TIME:
            data[name] = pd.Series(pd.to_datetime(column, utc=True)).astype(kind)
        else:
            data[name] = pd.Series(column, dtype="object").astype(kind)
    frame: pd.DataFrame = pd.DataFrame(data).set_index(index)
    return frame
