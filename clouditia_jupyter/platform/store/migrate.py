"""Brings a database to the present schema. Alembic is imported only where there is work for it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from clouditia_jupyter.errors import ConfigurationError
from clouditia_jupyter.platform.store.schema import HEAD, metadata

if TYPE_CHECKING:
    from alembic.config import Config

_SCRIPTS = Path(__file__).with_name("migrations")


def bring_to_head(engine: Engine) -> None:
    """Create the tables of an empty database, migrate those of an older one.

    Raises
    ------
    ConfigurationError
        If a newer version of the package has written the database.
    """
    with engine.begin() as connection:
        found = _revision(connection)
        if found == HEAD:
            return
        if found is None:
            _create(connection)
            return
        if found > HEAD:
            raise ConfigurationError(
                f"The database was written by a newer clouditia_jupyter (schema {found}, "
                f"this one knows {HEAD}); upgrade the package, or choose another --state folder."
            )
    upgrade(engine)


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the migrations up to ``revision``."""
    from alembic import command

    with engine.begin() as connection:
        command.upgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return str(connection.scalar(text("SELECT version_num FROM alembic_version")) or "") or None


def _create(connection: Connection) -> None:
    # the same tables as the migrations make (a test compares them), without importing Alembic
    metadata.create_all(connection)
    connection.execute(
        text(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
