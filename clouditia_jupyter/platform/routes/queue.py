"""The computing API: the queue."""

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from clouditia_jupyter.errors import InvalidRequestError
from clouditia_jupyter.models import QUEUE_STATUSES
from clouditia_jupyter.platform import answers, bodies, tickets, views
from clouditia_jupyter.platform.routes.access import PREFIX, REFUSALS, Account, PlatformService

router = APIRouter(prefix=f"{PREFIX}/queue", tags=["queue"], responses=REFUSALS)


@router.get("/")
async def list_queue(
    service: PlatformService,
    account: Account,
    status: Annotated[str | None, Query(examples=["pending"])] = None,
) -> answers.QueueAnswer:
    """List the tickets, first come first."""
    if status and status not in QUEUE_STATUSES:
        raise InvalidRequestError(
            f"There is no status {status[:40]!r}; choose one of {', '.join(QUEUE_STATUSES)}."
        )
    return await service.store.run(_listing, account, status or None)


@router.get("/job/")
async def show_ticket(
    queue_id: bodies.QueueId, service: PlatformService, account: Account
) -> answers.OneTicketAnswer:
    """Show a ticket and the tries to serve it."""
    return await service.store.run(_one, account, queue_id)


@router.post("/cancel/")
async def cancel(
    body: bodies.OneTicket, service: PlatformService, account: Account
) -> answers.Done:
    """Take a waiting ticket out of the queue."""
    reserve = await service.store.run(tickets.cancel, account, body.queue_id)
    await service.lifecycle.serve_queue(reserve)  # it may be enough for another
    return answers.Done(message="The ticket was taken out of the queue.")


def _listing(connection: Connection, account: str, status: str | None) -> answers.QueueAnswer:
    positions = tickets.positions(connection)
    rows = tickets.listing(connection, account, status)
    return answers.QueueAnswer(queue_jobs=[views.queue_job_answer(row, positions) for row in rows])


def _one(connection: Connection, account: str, given: str) -> answers.OneTicketAnswer:
    row = tickets.find(connection, account, given)
    return answers.OneTicketAnswer(
        queue_job=views.queue_job_answer(row, tickets.positions(connection)),
        attempts=[views.attempt_answer(item) for item in tickets.attempts_of(connection, row.id)],
    )
