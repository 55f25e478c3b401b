"""The computing API: the runs of sessions that have ended."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from fastapi import Path as InPath
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy import Connection

from clouditia_jupyter.errors import JobNotFoundError, SessionStateError
from clouditia_jupyter.models import LIVE_STATUSES, SESSION_STATUSES
from clouditia_jupyter.platform import kept, sessions
from clouditia_jupyter.platform.launcher import PodRecord
from clouditia_jupyter.platform.routes.access import PREFIX, REFUSALS, Account, PlatformService

#: How many sessions, the last that were created.
_SESSIONS = 200
_ENDED = [status for status in SESSION_STATUSES if status not in LIVE_STATUSES]

router = APIRouter(prefix=PREFIX, tags=["runs"], responses=REFUSALS)


class EndedRun(BaseModel):
    """A run; Unix time and seconds, the latter unless it was lost with its session."""

    session_id: str
    run_id: str
    status: str
    started_at: float | None
    seconds: float | None
    first_line: str


class EndedRunsAnswer(BaseModel):
    """The runs that are kept, by session, the newest first."""

    success: bool = True
    runs: list[EndedRun]


@router.get("/runs/")
async def ended_runs(service: PlatformService, account: Account) -> EndedRunsAnswer:
    """List the runs of sessions that have ended, as far as they are kept."""
    folders = await service.store.run(_folders, account)
    return EndedRunsAnswer(runs=await asyncio.to_thread(_runs, folders))


@router.get(
    "/sessions/{session_id}/runs/{run_id}/events/",
    response_class=Response,
    responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}},
)
async def events(
    session_id: Annotated[str, InPath(max_length=100)],
    run_id: Annotated[str, InPath(max_length=200)],
    service: PlatformService,
    account: Account,
    after: Annotated[int, Query(ge=0)] = 0,
) -> StreamingResponse:
    """Show what one of them put out, as its session did, from after event ``after`` on."""
    session = await service.store.run(sessions.find, account, session_id)
    if session.status in LIVE_STATUSES:
        raise SessionStateError(
            f"Session {session.row.name} ({session.id[:8]}) has not ended; ask it for its runs."
        )
    if session.row.pod is None:
        raise JobNotFoundError(f"Session {session.row.name} ({session.id[:8]}) ran nothing.")
    folder = Path(PodRecord.from_json(session.row.pod).folder)
    lines = kept.events(folder, run_id, after)
    return StreamingResponse(lines, media_type="application/x-ndjson")


def _folders(connection: Connection, account: str) -> list[tuple[str, Path]]:
    found = sessions.listing(connection, account, _ENDED, limit=_SESSIONS)
    pods = [(session.id, session.row.pod) for session in found]
    return [(id_, Path(PodRecord.from_json(pod).folder)) for id_, pod in pods if pod is not None]


def _runs(folders: list[tuple[str, Path]]) -> list[EndedRun]:
    found: list[dict[str, Any]] = []
    for session_id, folder in folders:
        found += [{"session_id": session_id, **run} for run in kept.runs(folder)]
    return [EndedRun(**run) for run in found]
