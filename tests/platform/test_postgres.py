"""The same platform on PostgreSQL, on a server of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from clouditia_jupyter.errors import ConfigurationError
from clouditia_jupyter.platform import ledger, tickets
from clouditia_jupyter.platform.money import to_micro
from clouditia_jupyter.platform.store import Store, migrate, schema
from clouditia_jupyter.platform.store.database import make_engine
from tests.platform.conftest import A, B, Bench

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("initdb") is None, reason="PostgreSQL is not installed"),
]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Return the URL of an empty server, which does not run as root."""
    user = "nobody" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        folder = Path(name)
        if user:
            shutil.chown(folder, user)

        def run(*command: str) -> None:
            subprocess.run(command, user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

        data = str(folder / "data")
        run("initdb", "-D", data, "-U", "me", "-A", "trust", "-N")
        settings = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "-D", data, "-l", str(folder / "log"), "-o", settings, "-w", "start")
        try:
            yield f"postgresql://me@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


@pytest.fixture
def database(server: str) -> Iterator[str]:
    """Return the server's URL, with its database empty again afterwards."""
    yield server
    engine = make_engine(server)
    with engine.begin() as connection:
        schema.metadata.drop_all(connection)
        connection.exec_driver_sql("DROP TABLE IF EXISTS alembic_version")
    engine.dispose()


def test_the_migrations_make_the_same_tables(database: str) -> None:
    engine = make_engine(database)
    migrate.upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    engine.dispose()


async def test_bills_and_the_queue(bench: Bench) -> None:
    session_id = await bench.run({A: 2, B: 1}, duration_limit=7200)
    waiting = (await bench.apply({A: 1}, queue=True, key="k" * 32)).ticket_id
    bench.clock.turn(3600)
    await bench.crash()
    bench.clock.turn(36_000)
    await bench.service.limits.apply()
    await bench.service.lifecycle.settle()
    ended = await bench.show(session_id)
    assert ended.row.stop_reason == "duration_limit"
    assert ended.row.accrued == 2 * to_micro(2 * 0.98 + 1.54)
    assert await bench.ask(ledger.credit, bench.account) == to_micro(100) - ended.row.accrued
    served = await bench.ask(tickets.find, bench.account, waiting)
    assert served.status == "completed"


def test_one_platform_at_a_time(database: str) -> None:
    first = Store(database, exclusive=True)
    with pytest.raises(ConfigurationError, match="Another platform"):
        Store(database, exclusive=True)
    first.close()
    Store(database, exclusive=True).close()
