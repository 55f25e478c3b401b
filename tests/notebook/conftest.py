"""A real platform, a real IPython that raises where it would print, and real notebooks."""

from __future__ import annotations

import atexit
import json
import os
import signal
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from clouditia_jupyter import GPUManager
from clouditia_jupyter.models import LIVE_STATUSES
from clouditia_jupyter.notebook import starter
from tests.notebook.panel_page import Opened, Page

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clouditia_jupyter.config import Service


#: A shell with the extension, and a manager for the account that it uses.
Local: TypeAlias = "tuple[Shell, GPUManager]"


class Shell:
    """Runs cells as a user would, and raises what they raise.

    Attributes
    ----------
    ip
        The IPython inside.
    """

    def __init__(self) -> None:
        self.ip = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
        # the traceback would only be noise beside the one that pytest shows
        self.ip.showtraceback = lambda *_args, **_kwargs: None

    def run(self, code: str) -> Any:
        """Return the value of the last expression of a cell, or raise its exception."""
        result = self.ip.run_cell(code)
        result.raise_error()
        return result.result

    @property
    def names(self) -> dict[str, Any]:
        """The user's variables."""
        return dict(self.ip.user_ns)


@pytest.fixture
def bare_shell() -> Iterator[Shell]:
    """Return a shell without the extension."""
    shell = Shell()
    try:
        yield shell
    finally:
        shell.ip.extension_manager.unload_extension("clouditia_jupyter")
        atexit.unregister(shell.ip.atexit_operations)
        shell.ip.atexit_operations()


@pytest.fixture
def shell(bare_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Return a shell with the extension loaded, and nothing configured."""
    for name in ("API_KEY", "BASE_URL", "EDITOR_URL", "STATE"):
        monkeypatch.delenv(f"CLOUDITIA_{name}", raising=False)
    bare_shell.run("%load_ext clouditia_jupyter")
    return bare_shell


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that is marked ``both_paths`` a platform with event streams, then without."""
    if metafunc.definition.get_closest_marker("both_paths"):
        for name in {"state", "own_state"}.intersection(metafunc.fixturenames):
            metafunc.parametrize(name, ["streams", "agent"], indirect=True)


@pytest.fixture(scope="module")
def state(request: pytest.FixtureRequest) -> Path:
    """Return the state folder of a platform that was started as the extension starts it.

    Where a test asks for the agent's path, of one that serves what clouditia.com serves, no more.
    """
    stock = getattr(request, "param", "streams") == "agent"
    folder: Path = request.getfixturevalue("stock_state" if stock else "streams_state")
    return folder


@pytest.fixture(scope="session")
def streams_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the state folder of a platform with event streams."""
    yield from _started(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def stock_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the state folder of a platform without."""
    with pytest.MonkeyPatch.context() as patch:
        serve_stock(patch)
        started = _started(tmp_path_factory.mktemp("stock"))
        folder = next(started)
    yield folder
    next(started, None)


def serve_stock(patch: pytest.MonkeyPatch) -> None:
    """Let platforms that are started from now on serve what clouditia.com serves, no more."""
    patch.setattr(starter, "OPTIONS", (*starter.OPTIONS, "--stock"))


def _started(folder: Path) -> Iterator[Path]:
    starter.find_or_start(folder)
    yield folder
    end_platform(folder)


@pytest.fixture
def own_state(
    tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[Shell, Path]]:
    """Return a shell, and the state folder of a platform of its own, not yet started."""
    folder = tmp_path / "state"
    if getattr(request, "param", "") == "agent":
        serve_stock(monkeypatch)
    monkeypatch.setenv("CLOUDITIA_STATE", str(folder))
    yield shell, folder
    end_platform(folder)


@pytest.fixture
def local(state: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    """Return a shell that uses the local platform, and a manager for the same account."""
    monkeypatch.setenv("CLOUDITIA_STATE", str(state))
    with manager_for(starter.find_or_start(state)) as manager:
        yield shell, manager
        stop_all(manager)


def manager_for(service: Service) -> GPUManager:
    """Return a manager for a platform."""
    return GPUManager(service.api_key, service.computing_url)


def stop_all(manager: GPUManager) -> None:
    """Stop every session of the account."""
    for session in manager.list_sessions():
        if session.status in LIVE_STATUSES:
            manager.stop_session(session, verbose=False)


def end_platform(folder: Path) -> None:
    """End the platform of a state folder with all its sessions."""
    with manager_for(starter.find_or_start(folder)) as manager:
        stop_all(manager)
    pid = json.loads((folder / "platform.json").read_text())["pid"]
    os.kill(pid, signal.SIGTERM)


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Page:
    return Page(monkeypatch)


@pytest.fixture
def opened(local: Local, page: Page) -> Opened:
    shell, manager = local
    return Opened(shell, page, manager)
