"""Session rows: finding them, making them, adding a GPU to one."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update

from clouditia_jupyter.errors import AmbiguousIdError, SessionNotFoundError
from clouditia_jupyter.platform import allocation
from clouditia_jupyter.platform.billing import Meter
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.requests import SessionRequest
from clouditia_jupyter.platform.store.schema import session_gpus, sessions

_ALPHABET = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none look alike
_ID = re.compile(r"[0-9a-f-]{8,36}")


@dataclass(frozen=True, slots=True)
class Session:
    """A session's row, and its GPUs as ``{slug: quantity}``."""

    row: Row[Any]
    gpus: dict[str, int]

    @property
    def id(self) -> str:
        """The UUID."""
        return str(self.row.id)

    @property
    def status(self) -> str:
        """One of ``models.SESSION_STATUSES``."""
        return str(self.row.status)

    @property
    def meter(self) -> Meter:
        """Its money side."""
        return meter_of(self.row)


def meter_of(row: Row[Any]) -> Meter:
    """Return the meter of a session's row."""
    return Meter(
        session_id=row.id,
        rate=row.rate,
        accrued=row.accrued,
        rate_since=row.rate_since,
        started_at=row.started_at,
        ended_at=row.ended_at,
        cost_limit=row.cost_limit,
        duration_limit=row.duration_limit,
    )


def load(connection: Connection, session_id: str) -> Session:
    """Return the session with exactly this id."""
    return _with_gpus(connection, select(sessions).where(sessions.c.id == session_id))[0]


def listing(
    connection: Connection,
    account_id: str,
    statuses: Collection[str] | None = None,
    limit: int | None = None,
) -> list[Session]:
    """Return the account's sessions, newest first; at most ``limit`` of them."""
    query = select(sessions).where(sessions.c.account_id == account_id)
    if statuses is not None:
        query = query.where(sessions.c.status.in_(statuses))
    query = query.order_by(sessions.c.created_at.desc(), sessions.c.id).limit(limit)
    return _with_gpus(connection, query)


def in_status(connection: Connection, *statuses: str) -> list[Row[Any]]:
    """Return the rows of every session in one of these statuses, oldest first."""
    query = select(sessions).where(sessions.c.status.in_(statuses))
    return list(connection.execute(query.order_by(sessions.c.created_at, sessions.c.id)))


def meters(connection: Connection) -> list[Meter]:
    """Return the meters of the sessions that cost money now."""
    return [meter_of(row) for row in in_status(connection, "running")]


def find(connection: Connection, account_id: str, given: str) -> Session:
    """Return the session that ``given`` means: a UUID, or at least its first 8 characters.

    Raises
    ------
    SessionNotFoundError
        If no session has that id.
    AmbiguousIdError
        If several begin so; the message and ``candidates`` name them.
    """
    wanted = given.strip().lower()
    found: list[Session] = []
    if _ID.fullmatch(wanted):
        query = select(sessions).where(
            sessions.c.account_id == account_id, sessions.c.id.startswith(wanted)
        )
        found = _with_gpus(connection, query.order_by(sessions.c.id).limit(10))
    if not found:
        raise SessionNotFoundError(
            f"No session has the id {given[:40]!r}; give a whole id or its first 8 characters, "
            "as the list of sessions shows them."
        )
    if len(found) > 1:
        candidates = [session.id for session in found]
        raise AmbiguousIdError(
            f"The id {given[:40]!r} fits {len(found)} sessions ({', '.join(candidates)}); "
            "give more of it.",
            details={"candidates": candidates},
        )
    return found[0]


def create(
    connection: Connection,
    account_id: str,
    request: SessionRequest,
    gpus: Mapping[str, int],
    catalogue: Catalogue,
    now: datetime,
) -> str:
    """Insert a pending session, give it its GPUs, and return its id."""
    session_id = _new_id(connection)
    connection.execute(
        insert(sessions).values(
            id=session_id,
            account_id=account_id,
            name=f"compute-gpu-{session_id[:8]}",
            status="pending",
            creation_step="queued",
            vcpu=request.vcpu,
            ram_gb=request.ram,
            storage_gb=request.storage,
            extra_config=dict(request.extra_config),
            password="".join(secrets.choice(_ALPHABET) for _ in range(12)),
            rate=0,
            cost_limit=request.cost_limit,
            duration_limit=request.duration_limit,
            created_at=now,
        )
    )
    add_gpus(connection, session_id, gpus, catalogue, now)
    return session_id


def add_gpus(
    connection: Connection,
    session_id: str,
    gpus: Mapping[str, int],
    catalogue: Catalogue,
    now: datetime,
) -> None:
    """Give the session more GPUs, at today's prices, from now on."""
    allocation.take(connection, session_id, gpus)
    session = load(connection, session_id)
    for slug, count in gpus.items():
        mine = (session_gpus.c.session_id == session_id) & (session_gpus.c.slug == slug)
        if slug in session.gpus:
            connection.execute(
                update(session_gpus).where(mine).values(quantity=session.gpus[slug] + count)
            )
        else:
            connection.execute(
                insert(session_gpus).values(session_id=session_id, slug=slug, quantity=count)
            )
    extra = sum(catalogue.price(slug) * count for slug, count in gpus.items())
    connection.execute(
        update(sessions)
        .where(sessions.c.id == session_id)
        .values(
            rate=session.row.rate + extra,
            accrued=session.meter.uncapped(now),
            rate_since=now if session.row.rate_since else None,
        )
    )


def rename(connection: Connection, session_id: str, name: str) -> None:
    """Give the session another name."""
    connection.execute(update(sessions).where(sessions.c.id == session_id).values(name=name))


def mark_seen(connection: Connection, session_ids: Iterable[str], now: datetime) -> None:
    """Note that these sessions' pods were alive at ``now``."""
    connection.execute(
        update(sessions)
        .where(sessions.c.id.in_(list(session_ids)), sessions.c.status == "running")
        .values(last_seen_at=now)
    )


def _new_id(connection: Connection) -> str:
    while True:  # the short id names a session too, so no two may share it
        new = str(uuid.uuid4())
        query = select(sessions.c.id).where(sessions.c.id.startswith(new[:8]))
        if connection.scalar(query) is None:
            return new


def _with_gpus(connection: Connection, query: Select[Any]) -> list[Session]:
    rows = list(connection.execute(query))
    gpus: dict[str, dict[str, int]] = {row.id: {} for row in rows}
    shares = select(session_gpus).where(session_gpus.c.session_id.in_(list(gpus)))
    for share in connection.execute(shares.order_by(session_gpus.c.slug)):
        gpus[share.session_id][share.slug] = share.quantity
    return [Session(row, gpus[row.id]) for row in rows]
