"""How the panel looks, and who can use it: light, dark, narrow, by keyboard, in Voilà."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

if os.environ.get("CI") != "true":  # there it has to be installed
    pytest.importorskip("playwright.sync_api")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.panel import PanelPage
from tests.browser.test_panel import PANEL, opened
from tests.browser.voila import Voila

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from playwright.sync_api import Locator, Page

    from tests.browser.lab import Lab
    from tests.running import RunningPlatform

#: What the page is to be free of; of the rest of the page, JupyterLab's makers know more.
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
#: Voilà's own page asks for icons there.
ELSEWHERE = re.compile(r"^https?://(?!127\.0\.0\.1)")
#: What sticks out on the right of an element, but for what can be scrolled.
OVERFLOW = """root => [...root.querySelectorAll('*')].filter(one => {
  const box = one.getBoundingClientRect();
  return box.width && box.right > root.getBoundingClientRect().right + 1
    && !one.closest('.clouditia-scroll, .cp-tabs');
}).map(one => one.className || one.tagName)"""
FOCUSED = """root => {
  const one = document.activeElement;
  if (!root.contains(one)) return null;
  const style = getComputedStyle(one);
  return [one.tagName + ' ' + (one.labels?.[0]?.textContent || one.textContent || '').trim(),
          style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0];
}"""


def violations(page: Page, root: Locator) -> list[str]:
    """Return what axe finds inside the panel."""
    root.evaluate("root => root.setAttribute('data-under-test', '')")
    found = Axe().run(page, context="[data-under-test]", options={"runOnly": RULES})
    assert found.response["passes"]
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found.response["violations"]
        for node in each["nodes"]
    ]


def test_light_dark_and_narrow(
    lab: Lab, page: Page, fast_platform: RunningPlatform, screen: Callable[..., None]
) -> None:
    session = fast_platform.create(gpu_type="nvidia-rtx-3090", name="wide")
    notebook = opened(page, lab, fast_platform, "look")
    panel = PanelPage(notebook.run(1))
    row = panel.root.get_by_role("region", name=re.compile("^Session "))
    expect(row.get_by_role("img", name=re.compile("^RAM: now"))).to_be_visible()
    panel.form.locator("summary").first.click()
    screen("panel-light")
    problems = violations(page, panel.root)

    # everything can be reached by keyboard, and is seen to be
    reached = {}
    row.get_by_role("link", name="Open").focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = panel.root.evaluate(FOCUSED)
        if focused is None:
            break
        reached[focused[0]] = focused[1]
    names = " ".join(reached)
    for name in ("Rename", "Copy key", "Stop", "Create", "Cost limit", "Inventory", "DataFrame"):
        assert name in names, reached
    assert all(reached.values()), reached

    # a refresh moves nothing
    create = panel.form.get_by_role("button", name="Create")
    before = create.bounding_box()
    cost = row.locator(".cp-cost")
    expect(cost).not_to_have_text(cost.inner_text())
    fast_platform.computing.post(
        "sessions/rename/", json={"session_id": session["id"], "name": "another name"}
    )
    expect(panel.session("another name")).to_be_visible()
    assert create.bounding_box() == before

    notebook.use_theme("JupyterLab Dark")
    back = page.evaluate("getComputedStyle(document.body).getPropertyValue('--jp-layout-color1')")
    assert back
    screen("panel-dark")
    problems += violations(page, panel.root)

    notebook.fill(400, 1600)
    expect(row).to_be_visible()
    assert panel.root.evaluate(OVERFLOW) == []
    screen("panel-narrow")
    notebook.use_theme("JupyterLab Light")
    assert not problems, "\n".join(problems)


def test_voila_serves_the_panel(
    chromium: str,
    page: Page,
    fast_platform: RunningPlatform,
    tmp_path: Path,
    screen: Callable[..., None],
) -> None:
    voila = Voila(tmp_path, [PANEL], **fast_platform.environment)
    try:
        page.set_viewport_size({"width": 1100, "height": 1000})
        page.route(ELSEWHERE, lambda route: route.fulfill(content_type="text/css", body=""))
        page.goto(f"{voila.url}/?theme=dark")
        panel = PanelPage(page.locator("body"))
        panel.fill(name="served", gpu="nvidia-rtx-4090")
        panel.form.get_by_role("button", name="Create").click()
        expect(panel.form).to_contain_text("is ready after")
        expect(panel.session("served")).to_contain_text("running")
        panel.wait_until_cost_moves("served")
        screen("panel-voila")
        panel.stop("served")
        page.goto("about:blank")
    finally:
        voila.close()
