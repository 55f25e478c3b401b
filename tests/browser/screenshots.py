"""``python -m tests.browser.screenshots FOLDER``: the panel for the README."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import chromium
from tests.browser.lab import Lab, NotebookPage
from tests.browser.panel import PanelPage
from tests.running import RunningPlatform

TRAIN = """
%%clouditia_run
import time, numpy
def train(epoch):
    weights, begin = numpy.ones(2_000_000 * (epoch + 1)), time.monotonic()
    while time.monotonic() - begin < 2 + 3 * (epoch % 3):
        weights = numpy.sqrt(weights * weights)
    time.sleep(1)
"""
CELLS = [
    "%load_ext clouditia_jupyter\n%clouditia use study",
    TRAIN.strip(),
    "%%clouditia_run --bg\nfor epoch in range(90): train(epoch)",
    "%clouditia panel",
]
#: EUR that the picture shows at least, so that there is something to see in the charts.
_ENOUGH = 1.5
_LONGEST_WAIT_MS = 120_000
#: Pixels below the last row of the table.
_MARGIN = 16


def main(folder: Path) -> int:
    """Write ``panel-light.png`` and ``panel-dark.png``: of the real panel in a real JupyterLab."""
    executable = chromium.path()
    if executable is None:
        sys.stderr.write(f"{chromium.MISSING}\n")
        return 1
    os.environ["LOGNAME"] = "ada"  # whose account it is
    with tempfile.TemporaryDirectory(prefix="screens-") as own:
        offer = "nvidia-rtx-3090=2,nvidia-rtx-4090=1"
        platform = RunningPlatform(Path(own) / "state", "--gpus", offer, "--clock-rate", "120")
        try:
            lab = Lab(Path(own), CLOUDITIA_STATE=str(platform.state))
            try:
                with chromium.opened(executable) as page:
                    _take(lab, page, platform, folder)
            finally:
                lab.close()
        finally:
            platform.close()
    return 0


def _take(lab: Lab, page: Page, platform: RunningPlatform, folder: Path) -> None:
    study = {"name": "study", "gpu_type": "nvidia-rtx-3090", "vcpu": 2, "ram": 8, "cost_limit": 20}
    _create(platform, study)
    _create(platform, {"name": "tune", "gpu_type": "nvidia-rtx-4090", "vcpu": 2, "ram": 4})
    wish = {"gpu_type": "nvidia-rtx-4090", "vcpu": 8, "ram": 32, "queue_if_unavailable": True}
    platform.computing.post("sessions/create/", json=wish).raise_for_status()
    lab.write("study.ipynb", CELLS)
    notebook = NotebookPage(page, lab.url, "study.ipynb")
    notebook.fill(1040, 1400)
    for number in range(len(CELLS)):
        shown = notebook.run(number)
    panel = PanelPage(shown)
    panel.table("Queue")
    expect(panel.session("study")).to_contain_text("train(epoch)")
    page.wait_for_function(
        "enough => parseFloat(document.querySelector('[aria-label=\"Session study\"] .cp-cost')"
        ".textContent) > enough",
        arg=_ENOUGH,
        timeout=_LONGEST_WAIT_MS,
    )
    page.mouse.move(0, 0)
    for name, theme in (("light", "JupyterLab Light"), ("dark", "JupyterLab Dark")):
        notebook.use_theme(theme)
        box = panel.root.bounding_box()
        last = panel.root.locator("tbody:visible tr").last.bounding_box()
        assert box and last
        bottom = last["y"] + last["height"] + _MARGIN
        clip = {**box, "height": bottom - box["y"]}
        page.screenshot(path=folder / f"panel-{name}.png", clip=clip, animations="disabled")


def _create(platform: RunningPlatform, request: dict[str, object]) -> None:
    name = request.pop("name")
    made = platform.create(**request)
    answer = platform.computing.post(
        "sessions/rename/", json={"session_id": made["id"], "name": name}
    )
    answer.raise_for_status()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
