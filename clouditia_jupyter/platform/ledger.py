"""The money record: grants, one charge a session, and the balance they leave."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from clouditia_jupyter.platform.billing import Meter
from clouditia_jupyter.platform.store.schema import ledger


def grant(connection: Connection, account_id: str, amount: int, note: str, now: datetime) -> None:
    """Add ``amount`` micro-euros to the account."""
    connection.execute(
        insert(ledger).values(
            account_id=account_id, kind="grant", amount=amount, note=note, created_at=now
        )
    )


def charge(
    connection: Connection, account_id: str, session_id: str, amount: int, now: datetime
) -> int:
    """Write the session's one charge and return it; a second call changes nothing.

    The credit is paid in advance, so a charge never takes it below zero.

    Returns
    -------
    int
        Micro-euros that the session was charged, by this call or the first.
    """
    earlier = connection.scalar(select(ledger.c.amount).where(ledger.c.session_id == session_id))
    if earlier is not None:
        return -int(earlier)
    amount = max(0, min(amount, credit(connection, account_id)))
    connection.execute(
        insert(ledger).values(
            account_id=account_id,
            kind="session",
            amount=-amount,
            session_id=session_id,
            created_at=now,
        )
    )
    return amount


def credit(connection: Connection, account_id: str) -> int:
    """Return grants less charges, in micro-euros; what runs now is not charged yet."""
    query = select(func.coalesce(func.sum(ledger.c.amount), 0))
    return int(connection.scalar(query.where(ledger.c.account_id == account_id)) or 0)


def balance(
    connection: Connection, account_id: str, running: Iterable[Meter], now: datetime
) -> int:
    """Return the credit less what the ``running`` sessions have cost so far."""
    return max(0, credit(connection, account_id) - sum(meter.cost(now) for meter in running))
