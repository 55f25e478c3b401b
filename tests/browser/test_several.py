"""Several sessions and the whole-notebook mode in a real JupyterLab, as a person sees them."""

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
    from playwright.sync_api import Page

    from tests.browser.lab import Lab

SETUP = (
    "%load_ext clouditia_jupyter\n"
    "%clouditia create --gpu nvidia-rtx-3060ti --vcpu 1 --ram 1 --name left\n"
    "%clouditia create --gpu nvidia-rtx-3060ti --vcpu 1 --ram 1 --name right"
)
BOTH = (
    "%%clouditia_run --on left,right\n"
    "from IPython.display import HTML, display\n"
    "for part in range(1, 4):\n"
    "    print(f'part {part} of 3', end='\\r', flush=True)\n"
    "print('\\nall parts done')\n"
    "display(HTML('<b class=\"rich\">a table</b>'))\n"
    "print('behind the table')"
)
CELLS = [
    SETUP,
    BOTH,
    "%clouditia auto on",
    "remote_only = 6 * 7\nremote_only",
    "%%local\n'remote_only' in globals()",
    "remote_on",
    "%clouditia auto off\n%clouditia stop --all --yes",
]


def test_a_person_sees_which_session_did_what(lab: Lab, page: Page) -> None:
    lab.write("several.ipynb", CELLS)
    notebook = NotebookPage(page, lab.url, "several.ipynb")
    setup, both, on, sent, kept, typed, off = range(len(CELLS))
    expect(notebook.run(setup)).to_contain_text("right")

    # two areas, each with its head and its own lines in order, updated in place
    shown = notebook.run(both)
    for name in ("left", "right"):
        area = shown.locator(".jp-OutputArea-output").filter(
            has_text=re.compile(rf"── {name} ──\s+part 3 of 3\s+all parts done")
        )
        expect(area).to_have_count(1)
    expect(shown.locator(".rich")).to_have_count(2)
    expect(shown).to_contain_text(re.compile(r"\d s · 2 sessions · .* EUR so far"))

    expect(notebook.run(on)).to_contain_text("Every following cell runs in session right")
    shown = notebook.run(sent)
    expect(shown).to_contain_text("42")
    expect(shown).to_contain_text(re.compile(r"in right \(\w{8}\) · .* s · nvidia-rtx-3060ti"))
    expect(notebook.run(kept)).to_contain_text("False")

    # Tab knows a name that only the session has
    editor = page.locator(".jp-Notebook .jp-Cell").nth(typed).locator(".cm-content")
    editor.click()
    page.keyboard.press("Control+End")
    page.keyboard.press("Tab")
    expect(page.locator(".jp-Completer")).to_contain_text("remote_only")
    page.keyboard.press("Escape")

    shown = notebook.run(off)
    expect(shown).to_contain_text("Cells run here.")
    expect(shown).to_contain_text("is stopped")
