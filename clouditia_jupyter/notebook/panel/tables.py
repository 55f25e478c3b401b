"""The panel's tables as DataFrames, of what was seen last."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from clouditia_jupyter.models import LIVE_STATUSES, format_time
from clouditia_jupyter.notebook.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd

    from clouditia_jupyter.client.overview import Overview
    from clouditia_jupyter.models import GPUSession, SessionCost


def inventory(overview: Overview) -> pd.DataFrame:
    """Return the GPUs on offer; prices in EUR per hour and GPU."""
    from clouditia_jupyter.notebook import frames

    return frames.inventory(overview.inventory)


def sessions(overview: Overview) -> pd.DataFrame:
    """Return the sessions; sizes in GB, money in EUR, times in UTC."""
    from clouditia_jupyter.notebook import frames

    return frames.sessions(overview.sessions)


def costs(overview: Overview) -> pd.DataFrame:
    """Return what sessions have cost by now, in EUR and seconds."""
    from clouditia_jupyter.notebook import frames

    now = time.time()
    return frames.costs(_cost(overview, session, now) for session in overview.sessions)


def queue(overview: Overview) -> pd.DataFrame:
    """Return the tickets; sizes in GB, times in UTC."""
    from clouditia_jupyter.notebook import frames

    return frames.queue(overview.tickets)


def runs(overview: Overview) -> pd.DataFrame:
    """Return the latest runs of the sessions that run, their seconds up to now."""
    from clouditia_jupyter.notebook import frames

    now = time.time()
    return frames.runs(
        (session, _meter(overview, session), _timed(run, now))
        for session in overview.sessions
        for run in (overview.activity.get(session.id) or {}).get("runs") or ()
    )


TABLES: Mapping[str, Callable[[Overview], pd.DataFrame]] = {
    table.__name__: table for table in (inventory, sessions, costs, queue, runs)
}


def _cost(overview: Overview, session: GPUSession, now: float) -> SessionCost:
    begin, end = session.started_at, session.ended_at
    seconds = 0.0
    if begin is not None and (end is not None or session.status in LIVE_STATUSES):
        until = now if end is None else overview.hands.local(end)
        seconds = (until - overview.hands.local(begin)) * overview.hands.rate
    cost: dict[str, Any] = {
        "session_id": session.id,
        "name": session.name,
        "status": session.status,
        "cost": None if session.cost is None else overview.spent(session, now),
        "hourly_rate": session.hourly_rate,
        "duration_seconds": seconds,
        "started_at": format_time(begin),
        "ended_at": format_time(end),
        "currency": overview.currency,
    }
    return cast("SessionCost", cost)


def _meter(overview: Overview, session: GPUSession) -> Meter:
    rate = session.hourly_rate
    return Meter(None if rate is None else rate * overview.hands.rate)


def _timed(run: Mapping[str, Any], now: float) -> dict[str, Any]:
    seconds = run.get("seconds")
    if seconds is None and run.get("started_at"):
        seconds = now - float(run["started_at"])
    return {**run, "seconds": seconds or 0.0}
