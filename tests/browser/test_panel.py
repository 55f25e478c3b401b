"""The control panel at work: in JupyterLab, on a real platform whose clock runs fast."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest

if os.environ.get("CI") != "true":  # there it has to be installed
    pytest.importorskip("playwright.sync_api")

from playwright.sync_api import expect

from tests.browser.lab import NotebookPage
from tests.browser.panel import PanelPage

if TYPE_CHECKING:
    from collections.abc import Callable

    from playwright.sync_api import Page

    from tests.browser.lab import Lab
    from tests.running import RunningPlatform

SCRIPT = "<img src=x onerror=alert(1)>"
PANEL = "%load_ext clouditia_jupyter\n%config ClouditiaMagics.footer = False\n%clouditia panel"
BUSY = (
    "%%clouditia_run\nimport time\nprint('begun', flush=True)\n"
    "try:\n    time.sleep(600)\nexcept KeyboardInterrupt:\n    print('let go')"
)
TABLE = "(clouditia_costs.status.tolist(), float(clouditia_costs.cost.sum()) > 0)"
PROPERTY = "from clouditia_jupyter import panel\npanel().costs.shape[0]"


def opened(page: Page, lab: Lab, platform: RunningPlatform, name: str, *cells: str) -> NotebookPage:
    """Return a notebook that uses the platform, and whose second cell shows the panel."""
    lab.keep(f"{name}.json", json.dumps(platform.environment))
    # the key is in no cell: these pages are photographed
    setup = f"import json, os\nos.environ.update(json.load(open('{name}.json')))"
    lab.write(f"{name}.ipynb", [setup, PANEL, *cells])
    notebook = NotebookPage(page, lab.url, f"{name}.ipynb")
    notebook.fill(1100, 1200)
    notebook.run(0)
    return notebook


def test_a_session_from_the_form_to_its_end(
    lab: Lab, page: Page, fast_platform: RunningPlatform, screen: Callable[..., None]
) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    notebook = opened(page, lab, fast_platform, "life", BUSY, TABLE, PROPERTY)
    panel = PanelPage(notebook.run(1))

    # what it costs and what the limit buys stand there before the click
    panel.fill(name=SCRIPT, cost_limit="49", gpu="nvidia-rtx-3090")
    expect(panel.form).to_contain_text("0.98 EUR per hour · 49.00 EUR buys 2d 2h")
    panel.form.get_by_role("button", name="Create").click()
    steps = panel.form.get_by_role("listitem")
    expect(steps.filter(has_text="starting the kernel")).to_have_attribute("data-step", "done")
    expect(panel.form).to_contain_text("is ready after")
    expect(panel.form.get_by_label("Name")).to_have_value(SCRIPT)
    expect(panel.session(SCRIPT)).to_contain_text("running")
    expect(panel.session(SCRIPT).get_by_text(SCRIPT, exact=True)).to_be_visible()
    panel.form.get_by_role("button", name="OK").click()

    # the kernel is busy with a remote cell, and the panel goes on
    shown = notebook.begin(2)
    expect(shown).to_contain_text("begun")
    expect(panel.session(SCRIPT)).to_contain_text("▶ import time")
    panel.wait_until_cost_moves(SCRIPT)
    row = panel.session(SCRIPT)
    row.get_by_role("button", name="Rename").click()
    row.get_by_label("New name").fill("study")
    row.get_by_label("New name").press("Enter")
    expect(panel.session("study")).to_be_visible()
    expect(panel.session("study").get_by_role("img", name=re.compile("^CPU: now"))).to_be_visible()
    screen("panel-busy")

    # a key goes to the clipboard, and nowhere else
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.session("study").get_by_role("button", name="Copy key").click()
    expect(panel.session("study")).to_contain_text("A new key is on the clipboard")
    key = page.evaluate("navigator.clipboard.readText()")
    assert key.startswith("sk_live_")
    assert key not in page.content()

    # stop asks once, and says what will be lost
    panel.session("study").get_by_role("button", name="Stop").click()
    question = panel.root.get_by_role("dialog")
    expect(question).to_contain_text("Stop study?")
    expect(question).to_contain_text("the cell that runs there. It has cost")
    screen("panel-question")
    question.get_by_role("button", name="Keep it").click()
    expect(panel.session("study")).to_contain_text("running")
    notebook.command("notebook:interrupt-kernel")
    expect(shown).to_contain_text("let go")
    notebook.wait_until_idle()
    panel.stop("study")
    news = re.compile(r"study \(\w{8}\) is stopped: it ran .+ and it cost \d+\.\d\d EUR")
    expect(panel.root.get_by_text(news)).to_be_visible()

    # its cost is kept, in the tab and as a DataFrame
    costs = panel.table("Costs")
    expect(costs.get_by_role("row", name=re.compile("study stopped"))).to_be_visible()
    costs.get_by_role("button", name="DataFrame").click()
    expect(costs).to_contain_text("in the variable clouditia_costs")
    expect(notebook.run(3)).to_contain_text("(['stopped'], True)")
    expect(notebook.run(4)).to_contain_text("1")
    assert not [url for url in asked if url.endswith("/x")]
    assert not re.search(r"sk_(live|compute)_\w{4}", notebook.saved())


def test_a_queue_is_joined_and_left(
    lab: Lab, page: Page, fast_platform: RunningPlatform, screen: Callable[..., None]
) -> None:
    fast_platform.create(gpu_type="nvidia-rtx-4090", gpu_count=1)
    notebook = opened(page, lab, fast_platform, "queue")
    panel = PanelPage(notebook.run(1))
    panel.form.locator("summary").first.click()

    # what is not there cannot be chosen, but waited for
    gone = panel.form.get_by_role("option", name=re.compile("4090"))
    expect(gone).to_have_attribute("disabled", "")
    panel.form.get_by_label("Wait in the queue").check()
    expect(gone).not_to_have_attribute("disabled", "")
    panel.fill(gpu="nvidia-rtx-4090")
    panel.form.get_by_role("button", name="Create").click()
    expect(panel.form).to_contain_text("Queued at place 1")
    queue = panel.table("Queue")
    ticket = queue.get_by_role("row", name=re.compile("nvidia-rtx-4090|NVIDIA RTX 4090"))
    expect(ticket).to_contain_text("pending")
    ticket.locator("summary").click()
    expect(ticket.get_by_role("listitem").first).to_contain_text("not free: nvidia-rtx-4090")
    screen("panel-queue")
    ticket.get_by_role("button", name="Cancel").click()
    expect(ticket).to_contain_text("cancelled")
    expect(panel.form).to_contain_text("is cancelled")


def test_a_row_stays_under_the_pointer_and_what_is_typed_stays(
    lab: Lab, page: Page, fast_platform: RunningPlatform
) -> None:
    fast_platform.create(gpu_type="nvidia-rtx-3090")
    notebook = opened(page, lab, fast_platform, "pointer")
    panel = PanelPage(notebook.run(1))
    row = panel.root.get_by_role("region", name=re.compile("^Session "))
    expect(row).to_contain_text("running")
    panel.form.locator("summary").first.click()
    panel.fill(name="half a na", time_limit="90m")
    stop = row.get_by_role("button", name="Stop")
    stop.hover()
    place = stop.bounding_box()
    fast_platform.create(gpu_type="nvidia-rtx-4090")
    # the inventory has seen it, the list under the pointer waits
    offer = panel.root.get_by_role("tabpanel", name="Inventory")
    expect(offer.get_by_role("row", name=re.compile("rtx-4090 0 1 1"))).to_be_visible()
    expect(row).to_have_count(1)
    assert stop.bounding_box() == place
    offer.hover()
    expect(row).to_have_count(2)
    expect(panel.form.get_by_label("Name")).to_have_value("half a na")

    # tables are sorted and filtered
    table = panel.table("Inventory")
    rows = table.locator("tbody tr")
    expect(rows.first).to_contain_text("3090")
    table.get_by_role("button", name="Per hour").click()
    expect(table.get_by_role("columnheader", name="Per hour")).to_have_attribute(
        "aria-sort", "descending"
    )
    expect(rows.first).to_contain_text("4090")
    table.get_by_role("searchbox").fill("3090")
    expect(rows).to_have_count(1)
    expect(table).to_contain_text("1 of 2")
    expect(panel.form.get_by_label("Time limit")).to_have_value("90m")


def test_a_platform_that_is_gone_is_said_calmly_and_comes_back(
    lab: Lab, page: Page, fast_platform: RunningPlatform, screen: Callable[..., None]
) -> None:
    session = fast_platform.create(gpu_type="nvidia-rtx-3090")
    notebook = opened(page, lab, fast_platform, "gone", "%%clouditia_run\n6 * 7")
    panel = PanelPage(notebook.run(1))
    row = panel.root.get_by_role("region", name=re.compile("^Session "))
    expect(row).to_contain_text("running")
    port = re.findall(r":(\d+)", fast_platform.where["computing_url"])[0]
    fast_platform.kill()
    trouble = panel.root.get_by_role("alert")
    expect(trouble).to_contain_text(re.compile(r"What you see is \d+s old"))
    expect(row).to_contain_text("running")
    data = panel.root.locator(".cp-data")
    expect(data).to_have_css("opacity", "0.55")
    screen("panel-gone")
    fast_platform.start("--port", port)
    expect(trouble).to_have_count(0)
    expect(data).to_have_css("opacity", "1")
    expect(row).to_contain_text("running")
    expect(notebook.run(2)).to_contain_text("42")
    fast_platform.stop_session(session["id"])
    expect(row).to_have_count(0)


def test_a_kernel_that_restarts_takes_its_panel_along_and_says_so(
    lab: Lab, page: Page, fast_platform: RunningPlatform
) -> None:
    notebook = opened(page, lab, fast_platform, "restart")
    panel = PanelPage(notebook.run(1))
    expect(panel.root).to_contain_text("No session is running")
    kernel = "window.jupyterapp.shell.currentWidget.sessionContext.session.kernel"
    page.evaluate(f"() => {kernel}.restart()")
    expect(panel.root.get_by_role("alert")).to_contain_text("Run the cell again for a new panel")
    notebook.wait_until_idle()
    notebook.run(0)
    again = PanelPage(notebook.run(1))
    expect(again.root).to_contain_text("No session is running")
    expect(again.root.get_by_role("alert")).to_have_count(0)
