"""The database behind one writer thread: short transactions, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from clouditia_jupyter.errors import ConfigurationError
from clouditia_jupyter.platform.store.migrate import bring_to_head

T = TypeVar("T")

#: Any number will do, as long as no other program locks the same one in the same database.
_LOCK = 0x636C6F7564697469

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",  # with WAL this survives the process being killed
    "PRAGMA foreign_keys=ON",
    "PRAGMA busy_timeout=5000",
)


class Store:
    """The platform's database.

    Parameters
    ----------
    url
        An SQLAlchemy URL: SQLite or PostgreSQL.
    exclusive
        Whether to keep other platforms off a PostgreSQL database; the file of SQLite is in a
        state folder, which has a lock of its own.

    Raises
    ------
    ConfigurationError
        If the database cannot be opened, another platform works on it, or a newer version has
        written it.
    """

    def __init__(self, url: str, *, exclusive: bool = False) -> None:
        self._engine = make_engine(url)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._guard: Connection | None = None
        try:
            if exclusive and self._engine.dialect.name == "postgresql":
                self._guard = _keep_others_off(self._engine, url)
            bring_to_head(self._engine)
        except (SQLAlchemyError, OSError) as error:
            self.close()
            raise ConfigurationError(
                f"The database {_masked(url)} cannot be opened ({_reason(error)}); "
                "check --database and that its server runs and lets you write."
            ) from error
        except ConfigurationError:
            self.close()
            raise

    async def run(self, fn: Callable[..., T], *args: Any) -> T:
        """Return ``fn(connection, *args)``, run in one transaction on the writer thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._writer, self.run_now, fn, *args)

    def run_now(self, fn: Callable[..., T], *args: Any) -> T:
        """Return ``fn(connection, *args)``, run in one transaction on this thread.

        For the time before the event loop runs; afterwards use :meth:`run`.
        """
        with self._engine.begin() as connection:
            return fn(connection, *args)

    def close(self) -> None:
        """Finish what is under way and let the database go."""
        self._writer.shutdown()
        if self._guard is not None:
            self._guard.close()
        self._engine.dispose()


def make_engine(url: str) -> Engine:
    """Return an engine for ``url``, on which every transaction is a short exclusive one.

    Raises
    ------
    ConfigurationError
        If the URL names no database that can be used.
    """
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        # parameters hold passwords and keys: they must not reach a traceback in a log
        engine = create_engine(parsed, hide_parameters=True, pool_pre_ping=not _is_file(url))
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise ConfigurationError(
            f"--database {_masked(url)} is no database URL; "
            "give one such as postgresql://user@host/name, or leave it out for a local file."
        ) from error
    except ImportError as error:
        raise ConfigurationError(
            f"The driver for {_masked(url)} is missing; "
            "install it with: pip install 'clouditia_jupyter[postgres]'."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_immediate)
    return engine


def _keep_others_off(engine: Engine, url: str) -> Connection:
    """Return a connection that holds the database's lock for as long as it is open."""
    guard = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    if not guard.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):
        guard.close()
        raise ConfigurationError(
            f"Another platform already works on {_masked(url)}; "
            "end that one, or give this one a database of its own."
        )
    return guard


def _set_up_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late for reads
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _is_file(url: str) -> bool:
    return url.startswith("sqlite")


def _masked(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "URL"


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
