"""Chromium as this machine has it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

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

MISSING = "Chromium is not installed: on Debian, apt-get install chromium."


def path() -> str | None:
    """Return where Chromium is, if anywhere."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def opened(executable: str, **options: float) -> Iterator[Page]:
    """Open a browser with an empty page; ``options`` are the page's."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_SECONDS * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 1600}, **options)
        page.set_default_timeout(_SECONDS * 1000)
        yield page
        browser.close()
