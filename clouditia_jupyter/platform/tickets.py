"""Ticket rows: a place in the queue, and the attempts to serve it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, insert, select, update

from clouditia_jupyter.errors import (
    AmbiguousIdError,
    InvalidRequestError,
    QueueJobNotFoundError,
)
from clouditia_jupyter.platform.requests import SessionRequest
from clouditia_jupyter.platform.store.schema import attempts, tickets

_SHORTEST_ID = 8


class Availability(NamedTuple):
    """Slugs asked for, by whether there are as many free as asked for."""

    available: list[str]
    unavailable: list[str]


def create(connection: Connection, account_id: str, request: SessionRequest, now: datetime) -> str:
    """Put the request at the end of the queue and return the ticket's id."""
    ticket_id = str(uuid.uuid4())
    last = connection.scalar(select(func.coalesce(func.max(tickets.c.number), 0)))
    connection.execute(
        insert(tickets).values(
            id=ticket_id,
            number=int(last or 0) + 1,
            account_id=account_id,
            status="pending",
            request=request.to_json(),
            created_at=now,
        )
    )
    return ticket_id


def pending(connection: Connection) -> list[Row[Any]]:
    """Return the rows of the tickets that wait, first come first."""
    query = select(tickets).where(tickets.c.status == "pending").order_by(tickets.c.number)
    return list(connection.execute(query))


def listing(connection: Connection, account_id: str, status: str | None) -> list[Row[Any]]:
    """Return the account's tickets, first come first."""
    query = select(tickets).where(tickets.c.account_id == account_id)
    if status is not None:
        query = query.where(tickets.c.status == status)
    return list(connection.execute(query.order_by(tickets.c.number)))


def find(connection: Connection, account_id: str, given: str) -> Row[Any]:
    """Return the ticket that ``given`` means: its id, or at least the first 8 characters.

    Raises
    ------
    QueueJobNotFoundError, AmbiguousIdError
        If no ticket has that id, or several begin so.
    """
    wanted = given.strip().lower()
    found: Sequence[Row[Any]] = ()
    if len(wanted) >= _SHORTEST_ID and "\0" not in wanted:
        found = connection.execute(
            select(tickets)
            .where(tickets.c.account_id == account_id)
            .where(tickets.c.id.startswith(wanted, autoescape=True))
            .limit(10)
        ).all()
    if not found:
        raise QueueJobNotFoundError(
            f"No ticket in the queue has the id {given[:40]!r}; "
            "give a whole id or its first 8 characters, as the queue shows them."
        )
    if len(found) > 1:
        candidates = [row.id for row in found]
        raise AmbiguousIdError(
            f"The id {given[:40]!r} fits {len(found)} tickets ({', '.join(candidates)}); "
            "give more of it.",
            details={"candidates": candidates},
        )
    return found[0]


def positions(connection: Connection) -> dict[str, int]:
    """Return each waiting ticket's place, 1 first, among those that want a type it wants too."""
    waiting = [(row.id, set(row.request["gpus"])) for row in pending(connection)]
    return {
        ticket_id: 1 + sum(bool(wants & earlier) for _, earlier in waiting[:index])
        for index, (ticket_id, wants) in enumerate(waiting)
    }


def record_attempt(
    connection: Connection,
    ticket_id: str,
    availability: Availability,
    error: str | None,
    now: datetime,
) -> None:
    """Note one try to serve the ticket; ``error`` is None if it succeeded."""
    earlier = connection.scalar(select(tickets.c.attempt_count).where(tickets.c.id == ticket_id))
    number = int(earlier or 0) + 1
    connection.execute(
        insert(attempts).values(
            id=str(uuid.uuid4()),
            ticket_id=ticket_id,
            number=number,
            success=error is None,
            error_message=error,
            available_gpus=availability.available,
            unavailable_gpus=availability.unavailable,
            attempted_at=now,
        )
    )
    connection.execute(
        update(tickets)
        .where(tickets.c.id == ticket_id)
        .values(attempt_count=number, last_attempt_at=now, last_error=error)
    )


def attempts_of(connection: Connection, ticket_id: str) -> list[Row[Any]]:
    """Return the tries to serve the ticket, oldest first."""
    query = select(attempts).where(attempts.c.ticket_id == ticket_id)
    return list(connection.execute(query.order_by(attempts.c.number)))


def serve(connection: Connection, ticket_id: str, session_id: str) -> None:
    """Note that a session is being created for the ticket."""
    _set(connection, ticket_id, status="processing", created_session_id=session_id)


def fail(connection: Connection, ticket_id: str, error: str) -> None:
    """Take the ticket out of the queue: it cannot be served."""
    _set(connection, ticket_id, status="failed", last_error=error)


def settle(connection: Connection, session_id: str, error: str | None) -> None:
    """Finish the ticket that the session was created for, if there was one."""
    values: dict[str, Any] = {"status": "completed"}
    if error is not None:
        values = {"status": "failed", "last_error": error}
    connection.execute(
        update(tickets)
        .where(tickets.c.created_session_id == session_id, tickets.c.status == "processing")
        .values(**values)
    )


def cancel(connection: Connection, account_id: str, given: str) -> frozenset[str]:
    """Take a waiting ticket out of the queue; a second call changes nothing.

    Returns
    -------
    frozenset of str
        The GPU types that it had in reserve.

    Raises
    ------
    InvalidRequestError
        If it has been served, or could not be.
    """
    row = find(connection, account_id, given)
    if row.status in ("pending", "cancelled"):
        _set(connection, row.id, status="cancelled")
        return frozenset(row.request["gpus"])
    next_step = "stop its session instead" if row.created_session_id else "create a new one"
    raise InvalidRequestError(
        f"Ticket {row.id[:8]} is {row.status} and no longer waits in the queue; {next_step}."
    )


def _set(connection: Connection, ticket_id: str, **values: Any) -> None:
    connection.execute(update(tickets).where(tickets.c.id == ticket_id).values(**values))
