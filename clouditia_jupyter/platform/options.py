"""The command line."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clouditia_jupyter.errors import ConfigurationError
from clouditia_jupyter.platform.catalogue import parse_counts

#: EUR; beyond it sums and dates would lose their meaning.
MOST_CREDIT = 1_000_000.0
_MOST_SECONDS_PER_SECOND = 1_000_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for; EUR and real seconds."""

    state: Path
    host: str
    port: int
    gpus: dict[str, int] | None
    database: str | None
    clock_rate: float
    stock: bool
    launcher: str
    credit: float
    top_up: float | None
    idle_exit: float | None
    spares: int
    keep_days: float
    keep_gb: float


def parse(arguments: Sequence[str] | None = None) -> Options:
    """Return the options on the command line.

    Raises
    ------
    ConfigurationError
        If one has a value that makes no sense. Unknown options end the process with code 2.
    """
    given = _parser().parse_args(arguments)
    if given.launcher == "ray":
        raise ConfigurationError(
            "Sessions on a Ray cluster are not part of this version; use --launcher process."
        )
    return Options(
        state=given.state or _default_state(),
        host=given.host,
        port=int(_between("--port", given.port, 0, 65_535)),
        gpus=None if given.gpus is None else parse_counts(given.gpus),
        database=given.database,
        clock_rate=_between("--clock-rate", given.clock_rate, 0.001, _MOST_SECONDS_PER_SECOND),
        stock=given.stock,
        launcher=given.launcher,
        credit=_between("--credit", given.credit, 0, MOST_CREDIT),
        top_up=_optional("--top-up", given.top_up, 0.01, MOST_CREDIT),
        idle_exit=_optional("--idle-exit", given.idle_exit, 0.1, math.inf),
        spares=int(_between("--spares", given.spares, 0, 16)),
        keep_days=_between("--keep-days", given.keep_days, 0, 36_500),
        keep_gb=_between("--keep-gb", given.keep_gb, 0, 1_000_000),
    )


def _default_state() -> Path:
    if folder := os.environ.get("CLOUDITIA_STATE"):
        return Path(folder)
    import platformdirs

    return platformdirs.user_state_path("clouditia_jupyter")


def _optional(name: str, value: float | None, least: float, most: float) -> float | None:
    return None if value is None else _between(name, value, least, most)


def _between(name: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise ConfigurationError(f"{name} {value:g} is out of range; give {least:g} to {most:g}.")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clouditia_jupyter.platform",
        description="Rent out this machine's GPUs over Clouditia's API. Prints one JSON line "
        "with computing_url, code_editor_url, api_key and pid when ready.",
    )
    add = parser.add_argument
    add("--state", type=Path, metavar="DIR", help="state folder (default: the user's own)")
    add("--host", default="127.0.0.1", help="address to serve on (default: %(default)s)")
    add("--port", type=int, default=0, help="port to serve on (default: any free one)")
    add("--gpus", metavar="SLUG=COUNT,…", help="GPUs to offer (default: those found)")
    add("--database", metavar="URL", help="SQLite or PostgreSQL (default: a file in the state)")
    add(
        "--clock-rate",
        type=float,
        default=1.0,
        metavar="N",
        help="simulated seconds per real second (default: 1)",
    )
    add("--stock", action="store_true", help="serve what clouditia.com serves, no capabilities")
    add("--launcher", choices=("process", "ray"), default="process", help="what runs sessions")
    add(
        "--credit",
        type=float,
        default=100.0,
        metavar="EUR",
        help="what a new account is granted (default: 100)",
    )
    add("--top-up", type=float, metavar="EUR", help="add credit to the account, and exit")
    add(
        "--idle-exit",
        type=float,
        metavar="SECONDS",
        help="exit after so long with no session, no ticket and no request",
    )
    add(
        "--spares",
        type=int,
        default=1,
        metavar="N",
        help="pods kept warm for the next session (default: 1)",
    )
    add(
        "--keep-days",
        type=float,
        default=30.0,
        metavar="N",
        help="how long the outputs of ended sessions stay (default: 30)",
    )
    add(
        "--keep-gb",
        type=float,
        default=10.0,
        metavar="GB",
        help="how much these may take before the oldest go (default: 10)",
    )
    return parser
