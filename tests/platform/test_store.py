"""The database: its schema, its migrations, its one writer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, inspect, select, text

from clouditia_jupyter.errors import AmbiguousIdError, ConfigurationError
from clouditia_jupyter.platform import account, keys, sessions
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.requests import SessionRequest
from clouditia_jupyter.platform.store import Store, migrate, schema
from clouditia_jupyter.platform.store.database import make_engine
from tests.platform.conftest import START, A


@pytest.fixture
def engine(database: str) -> Iterator[Engine]:
    made = make_engine(database)
    yield made
    made.dispose()


def differences(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, schema.metadata))


def test_the_migrations_make_the_tables_that_the_code_knows(engine: Engine) -> None:
    migrate.upgrade(engine)
    assert differences(engine) == []


def test_a_new_database_gets_the_same_tables_without_alembic(engine: Engine) -> None:
    migrate.bring_to_head(engine)
    assert differences(engine) == []
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == schema.HEAD


def test_the_head_is_the_last_migration() -> None:
    assert ScriptDirectory(str(migrate._SCRIPTS)).get_current_head() == schema.HEAD


def test_an_older_database_is_migrated(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    migrate.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    asked: list[Engine] = []
    monkeypatch.setattr(migrate, "upgrade", asked.append)
    migrate.bring_to_head(engine)
    assert asked == [engine]


def test_the_migration_can_be_undone(engine: Engine) -> None:
    migrate.upgrade(engine)
    from alembic import command

    with engine.begin() as connection:
        command.downgrade(migrate._config(connection), "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_a_newer_database_is_left_alone(engine: Engine, database: str) -> None:
    migrate.bring_to_head(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="upgrade the package"):
        Store(database)


def test_a_database_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="--database"):
        Store(f"sqlite:///{tmp_path / 'no' / 'such' / 'folder.db'}")


def test_a_refusal_does_not_show_the_databases_password() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Store("postgresql://me:hunter2@127.0.0.1:1/nothing")
    assert "hunter2" not in str(caught.value)


def test_starting_does_not_import_alembic() -> None:
    code = "import sys, clouditia_jupyter.platform.server; print('alembic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_sqlite_runs_with_a_write_ahead_log(store: Store) -> None:
    def pragma(connection: Connection, name: str) -> Any:
        return connection.scalar(text(f"PRAGMA {name}"))

    assert store.run_now(pragma, "journal_mode") == "wal"
    assert store.run_now(pragma, "foreign_keys") == 1


def test_transactions_run_one_after_the_other_and_whole(store: Store) -> None:
    payer = store.run_now(account.ensure, 0, START)

    def increase(connection: Connection, fail: bool) -> None:
        name = connection.scalar(select(schema.accounts.c.username))
        connection.execute(schema.accounts.update().values(username=f"{name}x"))
        if fail:
            raise ValueError

    async def all_at_once() -> list[Any]:
        work = [store.run(increase, n % 2 == 0) for n in range(20)]
        return await asyncio.gather(*work, return_exceptions=True)

    before = store.run_now(account.load, payer).username
    results = asyncio.run(all_at_once())
    assert sum(isinstance(item, ValueError) for item in results) == 10
    assert store.run_now(account.load, payer).username == before + "x" * 10


def test_times_come_back_aware_and_exact(store: Store) -> None:
    payer = store.run_now(account.ensure, 0, START.replace(microsecond=123_456))
    assert store.run_now(account.load, payer).created_at == START.replace(microsecond=123_456)


def test_an_id_that_fits_several_names_them(store: Store) -> None:
    payer = store.run_now(account.ensure, 0, START)
    twins = [f"0e4c713a-0000-4000-8000-00000000000{n}" for n in (1, 2)]

    def make(connection: Connection) -> None:
        request = SessionRequest(gpus={}, vcpu=1, ram=1, storage=1)
        for twin in twins:
            made = sessions.create(connection, payer, request, {}, Catalogue({}, {A: 1}), START)
            table = schema.sessions
            connection.execute(table.update().where(table.c.id == made).values(id=twin))

    store.run_now(make)
    with pytest.raises(AmbiguousIdError) as caught:
        store.run_now(sessions.find, payer, "0e4c713a")
    assert caught.value.details["candidates"] == twins
    assert all(twin in str(caught.value) for twin in twins)
    assert store.run_now(sessions.find, payer, twins[1]).id == twins[1]


def test_only_a_digest_of_a_key_is_stored(store: Store) -> None:
    payer = store.run_now(account.ensure, 0, START)
    store.run_now(keys.set_account_key, payer, "sk_compute_secret", START)

    def read(connection: Connection) -> Any:
        return connection.execute(select(schema.api_keys)).one()

    row = store.run_now(read)
    assert "secret" not in str(row)
    assert row.digest == keys.digest("sk_compute_secret")
