"""API keys: made once, shown once, kept only as a digest."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, insert, select, update

from clouditia_jupyter.errors import AuthenticationError
from clouditia_jupyter.platform.key_format import SESSION_PREFIXES, new_key
from clouditia_jupyter.platform.store.schema import api_keys


class KeyOwner(NamedTuple):
    """Whose a key is; ``session_id`` is None for an account's key."""

    account_id: str
    session_id: str | None


def digest(key: str) -> str:
    """Return what is stored of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def issue(
    connection: Connection, account_id: str, session_id: str, name: str, now: datetime
) -> str:
    """Return a new key for the session; it cannot be read again."""
    key = new_key(SESSION_PREFIXES[0])
    _register(connection, key, account_id, session_id, name, now)
    return key


def set_account_key(connection: Connection, account_id: str, key: str, now: datetime) -> None:
    """Make ``key`` the account's only key; an earlier one is revoked."""
    mine = (api_keys.c.account_id == account_id) & api_keys.c.session_id.is_(None)
    connection.execute(
        update(api_keys)
        .where(mine, api_keys.c.revoked_at.is_(None), api_keys.c.digest != digest(key))
        .values(revoked_at=now)
    )
    if connection.scalar(select(api_keys.c.id).where(api_keys.c.digest == digest(key))) is None:
        _register(connection, key, account_id, None, "account", now)


def revoke_session(connection: Connection, session_id: str, now: datetime) -> None:
    """Make every key of the session invalid."""
    connection.execute(
        update(api_keys)
        .where(api_keys.c.session_id == session_id, api_keys.c.revoked_at.is_(None))
        .values(revoked_at=now)
    )


def owner(connection: Connection, key: str) -> KeyOwner:
    """Return whose the key is.

    Raises
    ------
    AuthenticationError
        If nobody's, or it has been revoked.
    """
    row = connection.execute(select(api_keys).where(api_keys.c.digest == digest(key))).one_or_none()
    if row is None:
        raise AuthenticationError(
            "This platform does not know the key; check that it was copied whole "
            "and belongs to this platform, or make a new one."
        )
    if row.revoked_at is not None:
        next_step = (
            "its session has ended; create a session and make a key for that one."
            if row.session_id
            else "use the account key in the platform's state folder."
        )
        raise AuthenticationError(f"The key has been revoked: {next_step}")
    return KeyOwner(row.account_id, row.session_id)


def _register(
    connection: Connection,
    key: str,
    account_id: str,
    session_id: str | None,
    name: str,
    now: datetime,
) -> None:
    connection.execute(
        insert(api_keys).values(
            account_id=account_id,
            session_id=session_id,
            name=name,
            digest=digest(key),
            created_at=now,
        )
    )
