"""One notebook in a real JupyterLab: widgets, questions and interrupts as a person meets them."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

if os.environ.get("CI") != "true":  # there it has to be installed
    pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from tests.browser.lab import NotebookPage, answer

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from tests.browser.lab import Lab

SETUP = (
    "%load_ext clouditia_jupyter\n"
    "%config ClouditiaMagics.footer = False\n"
    "%clouditia create --gpu nvidia-rtx-3060ti --name browser"
)
BAR = (
    "%%clouditia_run\n"
    "from tqdm.notebook import tqdm\n"
    "bar = tqdm(total=4, desc='epochs')\n"
    "bar.update(1); bar.refresh()\n"
    "name = input('Go on, who? ')\n"
    "bar.update(3); bar.close()\n"
    "print('as', name, 'wishes')"
)
SLIDER = (
    "%%clouditia_run\n"
    "import ipywidgets as w\n"
    "slider, log = w.IntSlider(description='speed'), w.Output()\n"
    "def moved(change):\n"
    "    with log:\n"
    "        print('speed is', change.new)\n"
    "slider.observe(moved, 'value')\n"
    "w.VBox([slider, log])"
)
READ = "%%clouditia_run\nprint('there it is', slider.value)"
INTERACT = (
    "%%clouditia_run\n"
    "from ipywidgets import interact\n"
    "@interact(x=(0, 9))\n"
    "def square(x=4):\n"
    "    print(x, 'squared is', x * x)"
)
ENDLESS = "%%clouditia_run\nprint('begun', flush=True)\nimport time\ntime.sleep(600)"
ASKING = "%%clouditia_run\nimport getpass\nlen(getpass.getpass('Password: '))"
CELLS = [SETUP, BAR, SLIDER, READ, INTERACT, ENDLESS, ASKING]


def test_a_remote_notebook_is_as_live_as_a_local_one(lab: Lab, page: Page) -> None:
    lab.write("live.ipynb", CELLS)
    notebook = NotebookPage(page, lab.url, "live.ipynb")
    setup, bar, slider, read, interact, endless, asking = range(len(CELLS))
    expect(notebook.run(setup)).to_contain_text("is ready after")

    # the bar stands at one quarter while the cell waits for an answer
    shown = notebook.begin(bar)
    expect(shown).to_contain_text("1/4")
    expect(shown.locator(".progress-bar")).to_have_attribute("style", re.compile("width: 25%"))
    answer(shown, "Go on, who?", "Ada")
    expect(shown).to_contain_text("as Ada wishes")
    expect(shown).to_contain_text("4/4")
    notebook.wait_until_idle()

    # a slider moved after its cell
    shown = notebook.run(slider)
    handle = shown.get_by_role("slider")
    for speed in (1, 2, 3):
        handle.press("ArrowRight")
        expect(shown).to_contain_text(f"speed is {speed}")
    expect(notebook.run(read)).to_have_text(re.compile("there it is 3"))

    # interact shows each result in the place of the one before
    shown = notebook.run(interact)
    expect(shown).to_contain_text("4 squared is 16")
    shown.get_by_role("slider").press("ArrowRight")
    expect(shown).to_contain_text("5 squared is 25")
    expect(shown).not_to_contain_text("4 squared is 16")

    # an interrupt, in code and in a question
    shown = notebook.begin(endless)
    expect(shown).to_contain_text("begun")
    notebook.command("notebook:interrupt-kernel")
    expect(shown).to_contain_text("KeyboardInterrupt")
    notebook.wait_until_idle()
    shown = notebook.begin(asking)
    expect(shown.locator(".jp-Stdin-input")).to_have_attribute("type", "password")
    notebook.command("notebook:interrupt-kernel")
    expect(shown).to_contain_text("KeyboardInterrupt")
    notebook.wait_until_idle()
    shown = notebook.begin(asking)
    answer(shown, "Password:", "hunter2")
    expect(shown).to_contain_text("7")
    expect(shown).not_to_contain_text("hunter2")
    notebook.wait_until_idle()

    # the page is loaded again: the widgets are where they were, and alive
    notebook.reload()
    shown = notebook.outputs(slider)
    handle = shown.get_by_role("slider")
    expect(handle).to_have_attribute("aria-valuenow", re.compile("^3(\\.0)?$"))
    handle.press("ArrowRight")
    expect(shown).to_contain_text("speed is 4")
    expect(notebook.run(read)).to_have_text(re.compile("there it is 4"))
