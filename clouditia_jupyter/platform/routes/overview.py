"""Everything that a panel shows, in one answer that can be compared with the one before.

Nothing in it moves by itself: a cost stands beside the moment since which it grows, and the credit
is what is left before the running sessions are charged. So as long as nothing happens, the answer's
tag stays the same, and who sends it back gets no more than ``304``.
"""

from datetime import datetime
from hashlib import blake2b
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from pydantic import BaseModel
from sqlalchemy import Connection

from clouditia_jupyter.models import LIVE_STATUSES, SESSION_STATUSES, format_time
from clouditia_jupyter.platform import account as accounts
from clouditia_jupyter.platform import answers, ledger, sessions, tickets, views
from clouditia_jupyter.platform.money import to_eur
from clouditia_jupyter.platform.routes.access import PREFIX, REFUSALS, Account, PlatformService
from clouditia_jupyter.platform.routes.computing import stock_items
from clouditia_jupyter.platform.service import Service

#: How many sessions that have ended, tickets that do not wait, and attempts of one that does.
_ENDED, _SETTLED, _ATTEMPTS = 200, 50, 10

router = APIRouter(prefix=PREFIX, tags=["overview"], responses=REFUSALS)


class MeteredSession(answers.SessionAnswer):
    """A session whose ``cost`` is that of the moment ``cost_since``, or final without one."""

    cost_since: str | None


class Ticket(answers.QueueJobAnswer):
    """A ticket and, while it waits, the last tries to serve it."""

    attempts: list[answers.AttemptAnswer]


class GPUUse(BaseModel):
    """What a real GPU does."""

    name: str
    percent: int
    memory_bytes: int
    memory_total_bytes: int


class Use(BaseModel):
    """What a session uses; 100 % is one core."""

    cpu_percent: int
    memory_bytes: int
    gpus: list[GPUUse]


class RunHeadline(BaseModel):
    """A run; Unix time and seconds, the latter once it has ended."""

    run_id: str
    status: str
    started_at: float | None
    seconds: float | None
    first_line: str


class Glance(BaseModel):
    """What a session's pod says of itself."""

    runs: list[RunHeadline]
    use: Use


class OverviewAnswer(BaseModel):
    """The account at a glance; ``credit`` is before running sessions are charged."""

    success: bool = True
    user: answers.User
    credit: float
    currency: str = "EUR"
    clock_rate: float
    sessions: list[MeteredSession]
    inventory: list[answers.StockItem]
    queue: list[Ticket]
    activity: dict[str, Glance]
    now: str


@router.get("/overview/", response_model=OverviewAnswer, responses={304: {"model": None}})
async def overview(
    service: PlatformService,
    account: Account,
    if_none_match: Annotated[str, Header(max_length=100)] = "",
) -> Response:
    """Show the account at a glance, or say that nothing has changed."""
    now = service.clock.now()
    answer, running = await service.store.run(_read, service, account, now)
    answer.activity = {
        session_id: Glance(**said)
        for session_id, said in sorted((await service.glances.of(running)).items())
    }
    body = answer.model_dump_json(exclude={"now"})
    tag = f'"{blake2b(body.encode(), digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if if_none_match == tag:
        return Response(status_code=304, headers=headers)
    # the one thing that always changes, put behind what the tag is of
    body = f'{body[:-1]},"now":"{answer.now}"}}'
    return Response(body, media_type="application/json", headers=headers)


def _read(
    connection: Connection, service: Service, account: str, now: datetime
) -> tuple[OverviewAnswer, list[Any]]:
    user = accounts.load(connection, account)
    ended = [status for status in SESSION_STATUSES if status not in LIVE_STATUSES]
    live = sessions.listing(connection, account, LIVE_STATUSES)
    found = [*live, *sessions.listing(connection, account, ended, limit=_ENDED)]
    answer = OverviewAnswer(
        user=answers.User(username=user.username, email=user.email),
        credit=to_eur(ledger.credit(connection, account)),
        clock_rate=service.settings.clock_rate,
        sessions=[_metered(session, service, now) for session in found],
        inventory=stock_items(connection, service),
        queue=_queue(connection, account),
        activity={},
        now=format_time(now) or "",
    )
    return answer, [session.row for session in live if session.row.pod is not None]


def _metered(session: sessions.Session, service: Service, now: datetime) -> MeteredSession:
    shown = views.session_answer(session, service.settings, now).model_dump()
    row = session.row
    grows = row.rate_since is not None and row.ended_at is None
    since = format_time(row.rate_since) if grows else None
    return MeteredSession(**{**shown, "cost": to_eur(row.accrued)}, cost_since=since)


def _queue(connection: Connection, account: str) -> list[Ticket]:
    positions = tickets.positions(connection)
    rows = tickets.listing(connection, account, None)
    waiting = [row for row in rows if row.status in ("pending", "processing")]
    settled = [row for row in rows if row.status not in ("pending", "processing")]
    return [
        Ticket(
            **views.queue_job_answer(row, positions).model_dump(),
            attempts=[
                views.attempt_answer(item)
                for item in tickets.attempts_of(connection, row.id)[-_ATTEMPTS:]
            ]
            if row.status == "pending"
            else [],
        )
        for row in [*waiting, *settled[-_SETTLED:]]
    ]
