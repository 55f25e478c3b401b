"""The one account of an embedded platform: whoever runs it."""

from __future__ import annotations

import getpass
import os
import uuid
from datetime import datetime

from sqlalchemy import Connection, Row, insert, select

from clouditia_jupyter.platform import ledger
from clouditia_jupyter.platform.store.schema import accounts


def ensure(connection: Connection, credit: int, now: datetime) -> str:
    """Return the account's id; a new account is granted ``credit`` micro-euros."""
    found = connection.scalar(select(accounts.c.id).order_by(accounts.c.created_at).limit(1))
    if found is not None:
        return str(found)
    account_id, username = str(uuid.uuid4()), _username()
    connection.execute(
        insert(accounts).values(
            id=account_id, username=username, email=f"{username}@localhost", created_at=now
        )
    )
    if credit:
        ledger.grant(connection, account_id, credit, "initial credit", now)
    return account_id


def load(connection: Connection, account_id: str) -> Row[tuple[str, str, str, datetime]]:
    """Return the account's row."""
    return connection.execute(select(accounts).where(accounts.c.id == account_id)).one()


def _username() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        return f"user{os.getuid()}"


def only(connection: Connection) -> str:
    """Return the id of the account; :func:`ensure` has made it."""
    return str(connection.scalar(select(accounts.c.id).order_by(accounts.c.created_at).limit(1)))
