"""Cards as a person sees them: light and dark, wide and narrow, and never as script."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

if os.environ.get("CI") != "true":  # there it has to be installed
    pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from tests.browser.lab import NotebookPage

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.lab import Lab

SCRIPT = "<img src=x onerror=alert(1)>"
SETUP = f"""
%load_ext clouditia_jupyter
%clouditia create --gpu nvidia-rtx-4090 --vcpu 1 --ram 2 --cost-limit 5 --name "{SCRIPT}"
from clouditia_jupyter import GPUManager
magics = get_ipython().magics_manager.registry["ClouditiaMagics"]
manager = magics.connection_now().open()
request = {{"vcpu": 1, "ram": 1, "verbose": False, "queue_if_unavailable": True}}
ticket = manager.create_session("nvidia-rtx-4090", 2, **request)["queue_id"]
"""
CELLS = [
    SETUP.strip(),
    "%clouditia show",
    "manager.get_inventory()",
    "manager.get_queue_job(ticket)['job']",
    "manager.cancel_queue_job(ticket)\n%clouditia stop --all --yes",
]


def test_cards_look_right_and_run_no_script(
    lab: Lab, page: Page, screen: Callable[..., None]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    lab.write("cards.ipynb", CELLS)
    notebook = NotebookPage(page, lab.url, "cards.ipynb")
    setup, show, inventory, ticket, stop = range(len(CELLS))
    notebook.run(setup)
    shown = {number: notebook.run(number) for number in (show, inventory, ticket)}
    expect(shown[show].get_by_text(SCRIPT, exact=True)).to_be_visible()
    expect(shown[show]).to_contain_text("running")
    expect(shown[show].get_by_role("link")).to_have_attribute("href", re.compile("^http://127"))
    expect(shown[inventory].get_by_role("columnheader", name="EUR / hour")).to_be_visible()
    expect(shown[ticket]).to_contain_text("1, the last at")
    notebook.fill(900, 1200)
    screen("cards-light")
    notebook.use_theme("JupyterLab Dark")
    screen("cards-dark")
    notebook.fill(400, 1200)
    screen("cards-narrow")
    notebook.use_theme("JupyterLab Light")
    notebook.run(stop)
    assert not [url for url in asked if url.endswith("/x")]
