"""A browser and a JupyterLab; a laptop without a browser skips these tests, CI does not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clouditia_jupyter.notebook import starter
from tests.notebook.conftest import end_platform

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.lab import Lab

#: What a browser does besides showing the page, and what it cannot do in a container.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_SECONDS = 30.0


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of Chromium, or skip where this is nobody's CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        message = "Chromium is not installed: on Debian, apt-get install chromium."
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Return a JupyterLab whose notebooks use a platform of their own."""
    from tests.browser.lab import Lab

    folder = tmp_path_factory.mktemp("lab")
    state = folder / "state"
    starter.find_or_start(state)
    running = Lab(folder, CLOUDITIA_STATE=str(state))
    try:
        yield running
    finally:
        running.close()
        end_platform(state)


@pytest.fixture
def page(chromium: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Page]:
    """Return an empty page; where the test fails, a picture of it is kept."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(_FLAGS))
        failed_before = request.session.testsfailed
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(_SECONDS * 1000)
        yield page
        page.screenshot(path=tmp_path / "page.png")
        if request.session.testsfailed > failed_before:
            print(f"The page at its end: {tmp_path / 'page.png'}")  # noqa: T201
        browser.close()
