"""Who gets GPUs: at once, in part, by waiting in the queue, or not at all.

The queue is first come, first served per GPU type, and nobody starves: what a waiting ticket
wants is out of reach of everybody who came later, so freed GPUs gather for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select

from clouditia_jupyter.errors import (
    InsufficientCreditError,
    InsufficientResourcesError,
    InvalidRequestError,
)
from clouditia_jupyter.platform import allocation, ledger, sessions, tickets
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.requests import SessionRequest
from clouditia_jupyter.platform.store.schema import idempotency
from clouditia_jupyter.platform.tickets import Availability


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A request with what decides on it beside the request itself.

    Attributes
    ----------
    queue
        Whether to wait in the queue if there are too few GPUs now.
    key, digest
        The ``Idempotency-Key``, if any, and a digest of what came with it.
    """

    account_id: str
    request: SessionRequest
    queue: bool = False
    key: str | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of an application: a session or a ticket.

    Attributes
    ----------
    is_new
        False if an earlier request with the same key had this outcome.
    """

    session_id: str | None = None
    ticket_id: str | None = None
    unavailable_gpus: list[str] = field(default_factory=list)
    is_new: bool = True


def admit(
    connection: Connection, application: Application, catalogue: Catalogue, now: datetime
) -> Outcome:
    """Create a session or a ticket for the application.

    Raises
    ------
    InsufficientResourcesError
        If too few GPUs are free and the application neither takes fewer nor waits.
    InsufficientCreditError
        If the balance is used up.
    InvalidRequestError
        If its key has been used for another request.
    """
    earlier = _recall(connection, application)
    if earlier is not None:
        return earlier
    check_credit(connection, application.account_id, now)
    request = application.request
    within_reach = _within_reach(connection)
    availability = _availability(request, within_reach)
    granted = _grantable(request, within_reach)
    if granted:
        session_id = sessions.create(
            connection, application.account_id, request, granted, catalogue, now
        )
        outcome = Outcome(session_id=session_id, unavailable_gpus=availability.unavailable)
    else:
        error = _shortage(availability)
        if not application.queue:
            raise error
        ticket_id = tickets.create(connection, application.account_id, request, now)
        tickets.record_attempt(connection, ticket_id, availability, str(error), now)
        outcome = Outcome(ticket_id=ticket_id, unavailable_gpus=availability.unavailable)
    _remember(connection, application, outcome, now)
    return outcome


def serve_tickets(
    connection: Connection, catalogue: Catalogue, now: datetime, touched: frozenset[str] | None
) -> list[str]:
    """Create a session for every waiting ticket that can be served, first come first.

    Parameters
    ----------
    touched
        Slugs of which there may be more now; None if any may. Other tickets are not tried.

    Returns
    -------
    list of str
        The ids of the new sessions.
    """
    created = []
    reach = allocation.free(connection)
    for row in tickets.pending(connection):
        request = SessionRequest.from_json(row.request)
        if touched is None or not touched.isdisjoint(request.gpus):
            availability = _availability(request, reach)
            reason = _refusal(connection, row.account_id, request, catalogue, now)
            granted = {} if reason else _grantable(request, reach)
            if granted:
                session_id = sessions.create(
                    connection, row.account_id, request, granted, catalogue, now
                )
                tickets.serve(connection, row.id, session_id)
                created.append(session_id)
            error = None if granted else reason or str(_shortage(availability))
            tickets.record_attempt(connection, row.id, availability, error, now)
            if reason:
                tickets.fail(connection, row.id, reason)
                continue
            reach = _less(reach, granted or request.gpus)
        else:
            reach = _less(reach, request.gpus)
    return created


def add_gpus(
    connection: Connection,
    session: sessions.Session,
    gpus: Mapping[str, int],
    catalogue: Catalogue,
    now: datetime,
) -> None:
    """Give a running session more GPUs.

    Raises
    ------
    InsufficientResourcesError, InsufficientCreditError
        If there are none free, or nothing to pay them with.
    """
    check_credit(connection, session.row.account_id, now)
    request = SessionRequest(gpus=gpus, vcpu=0, ram=0, storage=0)
    within_reach = _within_reach(connection)
    if not _grantable(request, within_reach):
        raise _shortage(_availability(request, within_reach))
    sessions.add_gpus(connection, session.id, gpus, catalogue, now)


def check_credit(connection: Connection, account_id: str, now: datetime) -> None:
    """Raise ``InsufficientCreditError`` if the balance is used up."""
    if ledger.balance(connection, account_id, sessions.meters(connection), now) <= 0:
        raise InsufficientCreditError(
            "The balance is used up; add credit first, on this machine with: "
            "python -m clouditia_jupyter.platform --top-up EUR."
        )


def _within_reach(connection: Connection) -> dict[str, int]:
    """Return how many GPUs of each type somebody who comes now may have."""
    reach = allocation.free(connection)
    for row in tickets.pending(connection):
        reach = _less(reach, row.request["gpus"])
    return reach


def _less(reach: Mapping[str, int], gpus: Mapping[str, int]) -> dict[str, int]:
    return {slug: max(0, count - gpus.get(slug, 0)) for slug, count in reach.items()}


def _availability(request: SessionRequest, reach: Mapping[str, int]) -> Availability:
    enough = {slug: reach.get(slug, 0) >= count for slug, count in request.gpus.items()}
    return Availability(
        [slug for slug, yes in enough.items() if yes],
        [slug for slug, yes in enough.items() if not yes],
    )


def _grantable(request: SessionRequest, reach: Mapping[str, int]) -> dict[str, int]:
    """Return the GPUs that can be had now: all, or some where these will do, or none."""
    granted = {slug: min(count, reach.get(slug, 0)) for slug, count in request.gpus.items()}
    if granted == dict(request.gpus) or request.allow_partial:
        return {slug: count for slug, count in granted.items() if count}
    return {}


def _shortage(availability: Availability) -> InsufficientResourcesError:
    missing = ", ".join(availability.unavailable)
    ways = "wait for one to be released, or ask with queue_if_unavailable to wait in the queue"
    if availability.available:
        ways = f"take what is available ({', '.join(availability.available)}) with allow_partial, "
        ways += "or ask with queue_if_unavailable to wait in the queue"
    return InsufficientResourcesError(
        f"Not enough GPUs are available now: {missing}; {ways}.",
        details={
            "unavailable_gpus": availability.unavailable,
            "available_gpus": availability.available,
        },
    )


def _refusal(
    connection: Connection,
    account_id: str,
    request: SessionRequest,
    catalogue: Catalogue,
    now: datetime,
) -> str | None:
    """Return why waiting longer would not help; None if it may."""
    gone = [slug for slug, count in request.gpus.items() if catalogue.total(slug) < count]
    if gone:
        return f"There are no longer enough GPUs here: {', '.join(gone)}; ask for other ones."
    try:
        check_credit(connection, account_id, now)
    except InsufficientCreditError as error:
        return str(error)
    return None


def _recall(connection: Connection, application: Application) -> Outcome | None:
    if application.key is None:
        return None
    row = connection.execute(
        select(idempotency).where(
            idempotency.c.account_id == application.account_id,
            idempotency.c.key == application.key,
        )
    ).one_or_none()
    if row is None:
        return None
    if row.request != application.digest:
        raise InvalidRequestError(
            "This Idempotency-Key came with another request before; use a new key."
        )
    return Outcome(
        session_id=row.session_id,
        ticket_id=row.ticket_id,
        unavailable_gpus=row.unavailable_gpus,
        is_new=False,
    )


def _remember(
    connection: Connection, application: Application, outcome: Outcome, now: datetime
) -> None:
    if application.key is None:
        return
    connection.execute(
        insert(idempotency).values(
            account_id=application.account_id,
            key=application.key,
            request=application.digest,
            session_id=outcome.session_id,
            ticket_id=outcome.ticket_id,
            unavailable_gpus=outcome.unavailable_gpus,
            created_at=now,
        )
    )
