"""A browser and a JupyterLab; a laptop without a browser skips these tests, CI does not."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clouditia_jupyter.notebook import starter
from tests.browser import chromium as browser
from tests.notebook.conftest import end_platform, manager_for, stop_all

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page

    from tests.browser.lab import Lab
    from tests.running import RunningPlatform

#: Pictures of what the tests have seen; CI keeps them.
_SCREENS = Path(__file__).parents[2] / "build" / "screens"


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium, or skip where this is nobody's CI."""
    path = browser.path()
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(browser.MISSING)
        pytest.skip(browser.MISSING)
    return path


@pytest.fixture(scope="session")
def _lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lab, Path]]:
    from tests.browser.lab import Lab

    folder = tmp_path_factory.mktemp("lab")
    state = folder / "state"
    starter.find_or_start(state)
    running = Lab(folder, CLOUDITIA_STATE=str(state))
    try:
        yield running, state
    finally:
        running.close()
        end_platform(state)


@pytest.fixture
def lab(_lab: tuple[Lab, Path]) -> Iterator[Lab]:
    """Return a JupyterLab whose notebooks use a platform of their own."""
    running, state = _lab
    yield running
    with manager_for(starter.find_or_start(state)) as manager:
        stop_all(manager)


@pytest.fixture(scope="session")
def _fast(start_platform_for_session: Callable[..., RunningPlatform]) -> RunningPlatform:
    return start_platform_for_session(
        *("--gpus", "nvidia-rtx-3090=1,nvidia-rtx-4090=1"), *("--clock-rate", "600")
    )


@pytest.fixture
def fast_platform(_fast: RunningPlatform) -> Iterator[RunningPlatform]:
    """Return a platform with two GPUs, on which ten minutes pass in a second."""
    yield _fast
    for ticket in _fast.computing.get("queue/").json()["queue_jobs"]:
        if ticket["status"] == "pending":
            _fast.computing.post("queue/cancel/", json={"queue_id": ticket["queue_id"]})
    for session in _fast.computing.get("sessions/").json()["sessions"]:
        if session["status"] not in ("stopped", "failed"):
            _fast.stop_session(session["id"])


@pytest.fixture
def page(chromium: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """Return an empty page; what it says to the console in red fails the test.

    Where the test fails, a picture of the page is kept among the screens.
    """
    failed_before = request.session.testsfailed
    said: list[str] = []

    def hear(entry: ConsoleMessage) -> None:
        if entry.type == "error":
            said.append(f"{entry.text} {entry.location}")

    with browser.opened(chromium) as page:
        page.on("console", hear)
        page.on("pageerror", lambda error: said.append(str(error)))
        yield page
        if said or request.session.testsfailed > failed_before:
            page.screenshot(path=_SCREENS / f"failed-{request.node.name}.png")
    assert not said, "\n".join(said)


@pytest.fixture
def screen(page: Page) -> Callable[..., None]:
    """Return what keeps a picture of the page, or of a part of it, in ``build/screens``."""

    def keep(name: str, part: Locator | None = None) -> None:
        (page if part is None else part).screenshot(path=_SCREENS / f"{name}.png")

    return keep
