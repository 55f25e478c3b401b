"""The tables. Money is micro-euros, times are UTC, JSON columns hold what is never searched."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

if TYPE_CHECKING:
    from sqlalchemy import Dialect

#: The migration that these tables are the result of.
HEAD = "0001"


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as naive UTC: SQLite keeps no time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the naive UTC form."""
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Return the aware form."""
        return None if value is None else value.replace(tzinfo=timezone.utc)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _account() -> Column[str]:
    return Column("account_id", String(36), ForeignKey("accounts.id"), nullable=False, index=True)


accounts = Table(
    "accounts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("username", String(200), nullable=False),
    Column("email", String(200), nullable=False),
    Column("created_at", Moment, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    _account(),
    Column("name", String(100), nullable=False),
    Column("status", String(20), nullable=False, index=True),
    Column("creation_step", String(20), nullable=False),
    Column("creation_error", Text, nullable=False, default=""),
    Column("vcpu", Integer, nullable=False),
    Column("ram_gb", Integer, nullable=False),
    Column("storage_gb", Integer, nullable=False),
    Column("extra_config", JSON, nullable=False),
    Column("environment_id", String(36)),
    Column("password", String(40), nullable=False),
    Column("pod", Text),  # the launcher's record, as JSON
    Column("rate", BigInteger, nullable=False),  # micro-euros per hour since rate_since
    Column("rate_since", Moment),
    Column("accrued", BigInteger, nullable=False, default=0),  # micro-euros up to rate_since
    Column("cost_limit", BigInteger),
    Column("duration_limit", BigInteger),  # seconds
    Column("created_at", Moment, nullable=False),
    Column("started_at", Moment),
    Column("last_seen_at", Moment),
    Column("ended_at", Moment),
    Column("stop_reason", String(20)),
)

#: The GPUs that a session was given; it keeps the record when it has given them back.
session_gpus = Table(
    "session_gpus",
    metadata,
    Column("session_id", String(36), ForeignKey("sessions.id"), primary_key=True),
    Column("slug", String(80), primary_key=True),
    Column("quantity", Integer, nullable=False),
)

#: One row a GPU: a slot has one session or none, so two sessions can never share it.
gpu_slots = Table(
    "gpu_slots",
    metadata,
    Column("id", String(120), primary_key=True),
    Column("slug", String(80), nullable=False, index=True),
    Column("device", String(80)),  # CUDA's UUID; none for a simulated GPU
    Column("offered", Boolean, nullable=False),
    Column("session_id", String(36), ForeignKey("sessions.id"), index=True),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Integer, primary_key=True),
    _account(),
    Column("session_id", String(36), ForeignKey("sessions.id"), index=True),
    Column("name", String(100), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("created_at", Moment, nullable=False),
    Column("revoked_at", Moment),
)

#: Grants are positive, charges negative; a session can be charged once.
ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer, primary_key=True),
    _account(),
    Column("kind", String(20), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("session_id", String(36), ForeignKey("sessions.id"), unique=True),
    Column("note", String(200), nullable=False, default=""),
    Column("created_at", Moment, nullable=False),
)

tickets = Table(
    "tickets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("number", Integer, nullable=False, unique=True),  # the order of the queue
    _account(),
    Column("status", String(20), nullable=False, index=True),
    Column("request", JSON, nullable=False),
    Column("attempt_count", Integer, nullable=False, default=0),
    Column("last_attempt_at", Moment),
    Column("last_error", Text),
    Column("created_at", Moment, nullable=False),
    Column("created_session_id", String(36), ForeignKey("sessions.id"), index=True),
)

attempts = Table(
    "attempts",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("ticket_id", String(36), ForeignKey("tickets.id"), nullable=False, index=True),
    Column("number", Integer, nullable=False),  # 1 for the first
    Column("success", Boolean, nullable=False),
    Column("error_message", Text),
    Column("available_gpus", JSON, nullable=False),
    Column("unavailable_gpus", JSON, nullable=False),
    Column("attempted_at", Moment, nullable=False),
)

#: What an ``Idempotency-Key`` led to: a session or a ticket.
idempotency = Table(
    "idempotency",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account_id", String(36), ForeignKey("accounts.id"), nullable=False),
    Column("key", String(128), nullable=False),
    Column("request", String(64), nullable=False),  # digest
    Column("session_id", String(36), ForeignKey("sessions.id")),
    Column("ticket_id", String(36), ForeignKey("tickets.id")),
    Column("unavailable_gpus", JSON, nullable=False),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("account_id", "key"),
)

clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("simulated", Moment, nullable=False),
    Column("real", Moment, nullable=False),
    Column("rate", Float, nullable=False),
)
