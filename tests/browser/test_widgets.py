"""Remote widgets in a real JupyterLab: of two sessions and of this kernel, through a reload."""

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

SETUP = (
    "%load_ext clouditia_jupyter\n"
    "%config ClouditiaMagics.footer = False\n"
    "%clouditia create --gpu nvidia-rtx-3060ti --name one\n"
    "%clouditia create --gpu nvidia-rtx-3060ti --name two"
)
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5"
    "ErkJggg=="
)
NESTED = (
    "%%clouditia_run --session one\n"
    "import base64, ipywidgets as w\n"
    f"pixel = base64.b64decode('{PIXEL}')\n"
    "image = w.Image(value=pixel, width=40, height=40)\n"
    "a, b = w.IntSlider(description='left'), w.IntSlider(description='right')\n"
    "linked = w.jslink((a, 'value'), (b, 'value'))\n"
    "button, log = w.Button(description='Train'), w.Output()\n"
    "def train(_):\n"
    "    import time\n"
    "    time.sleep(1)\n"
    "    with log:\n"
    "        print('trained', a.value)\n"
    "        1 / 0\n"
    "button.on_click(train)\n"
    "w.Tab([w.VBox([a, b, button, log]), image], titles=['Controls', 'Picture'])"
)
OTHER = (
    "%%clouditia_run --session two\n"
    "import ipywidgets as w\n"
    "field, said = w.Text(description='name'), w.Label('nobody')\n"
    "def named(change):\n"
    "    said.value = 'two hears ' + change.new\n"
    "field.observe(named, 'value')\n"
    "w.Accordion([w.HBox([field, said])], selected_index=0, titles=['Names'])"
)
LOCAL = (
    "import ipywidgets as w\n"
    "here, heard = w.IntSlider(description='here'), w.Label('0')\n"
    "here.observe(lambda change: setattr(heard, 'value', f'here {change.new}'), 'value')\n"
    "w.HBox([here, heard])"
)
CLOSED = "%%clouditia_run --session one\nbutton.close()"
LOST = "%%clouditia_run --session two\nimport os; os._exit(1)"
CELLS = [SETUP, NESTED, OTHER, LOCAL, CLOSED, LOST]


def test_widgets_of_two_sessions_and_of_this_kernel(
    lab: Lab, page: Page, screen: Callable[..., None]
) -> None:
    lab.write("widgets.ipynb", CELLS)
    notebook = NotebookPage(page, lab.url, "widgets.ipynb")
    setup, nested, other, local, closed, lost = range(len(CELLS))
    expect(notebook.run(setup)).to_contain_text("two")
    tabs, names, here = notebook.run(nested), notebook.run(other), notebook.run(local)

    def use_them(value: int, name: str) -> None:
        left, right = tabs.get_by_role("slider").all()
        left.press("ArrowRight")
        expect(right).to_have_attribute("aria-valuenow", re.compile(rf"^{value}(\.0)?$"))
        tabs.get_by_role("button", name="Train").click()
        expect(tabs).to_contain_text(f"trained {value}")
        expect(tabs).to_contain_text("ZeroDivisionError")
        names.get_by_role("textbox").first.fill(name)
        names.get_by_role("textbox").first.press("Enter")
        expect(names).to_contain_text(f"two hears {name}")
        here.get_by_role("slider").press("ArrowRight")
        expect(here).to_contain_text(f"here {value}")

    use_them(1, "Ada")
    screen("widgets")
    notebook.reload()
    tabs, names, here = (notebook.outputs(index) for index in (nested, other, local))
    expect(names).to_contain_text("two hears Ada")
    use_them(2, "Grace")
    tabs.get_by_role("tab", name="Picture").click()
    expect(tabs.locator("img")).to_be_visible()
    assert tabs.locator("img").evaluate("image => image.naturalWidth") == 1
    screen("widgets-reloaded")

    # what is closed there goes here; a kernel that is lost leaves its widgets, and the others alive
    tabs.get_by_role("tab", name="Controls").click()
    notebook.run(closed)
    expect(tabs.get_by_role("button", name="Train")).to_have_count(0)
    expect(notebook.run(lost)).to_contain_text("SessionLostError")
    names.get_by_role("textbox").first.fill("Alan")
    here.get_by_role("slider").press("ArrowRight")
    expect(here).to_contain_text("here 3")
    expect(names).to_contain_text("two hears Grace")
    screen("widgets-lost")
