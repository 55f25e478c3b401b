"""Widgets while connections break, and while the platform is killed: no update is lost."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from clouditia_jupyter.notebook import starter
from tests.notebook.conftest import end_platform
from tests.notebook.cutting_proxy import CuttingProxy
from tests.notebook.front_end import FrontEnd, move, opened, states, text_of
from tests.notebook.test_faults import kill_platform
from tests.notebook.test_widgets import OBSERVED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.notebook.conftest import Local

# jupyter_client leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

UPDATES = 400
BAR = f"import ipywidgets as w\nbar = w.IntProgress(max={UPDATES})\ndisplay(bar)\n"
FILL = f"for n in range({UPDATES}): bar.value = n + 1; print('line', n, flush=True)"
#: What tests change here is changed in the local kernel, a process of its own.
THROUGH_THE_PROXY = (
    "from clouditia_jupyter.client import events\n"
    "from clouditia_jupyter.client.route import Route\n"
    "Route._learn = lambda self, offer: None\n"
    "events.RESUME_PAUSES = (0.001,) * 30"
)


def values(front_end: FrontEnd) -> list[int]:
    return [s["value"] for s in states(front_end, opened(front_end, "IntProgressModel"))]


def test_connections_that_break_lose_no_update_and_double_none(
    local: Local, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = starter.find_or_start(state)
    target = urlsplit(service.computing_url).port
    assert target is not None
    with CuttingProxy(target, random.Random(3), most=8_000) as proxy:
        monkeypatch.setenv("CLOUDITIA_BASE_URL", service.computing_url)
        monkeypatch.setenv("CLOUDITIA_API_KEY", service.api_key)
        monkeypatch.setenv("CLOUDITIA_EDITOR_URL", f"http://127.0.0.1:{proxy.port}/code-editor")
        front_end = FrontEnd()
        try:
            front_end.run(THROUGH_THE_PROXY)
            front_end.until_idle(front_end.remote("import threading"))
            proxy.armed = True
            # in a cell, and by a thread when it is over
            shown = front_end.until_idle(front_end.remote(BAR + FILL))
            assert values(front_end) == list(range(1, UPDATES + 1))
            assert text_of(shown) == "".join(f"line {n}\n" for n in range(UPDATES))
            cuts = proxy.cuts
            assert cuts > 3
            late = f"def late():\n    {FILL}\n    bar.description = 'full'\n"
            late += "threading.Thread(target=late).start()"
            front_end.until_idle(front_end.remote(BAR + late))
            bar = opened(front_end, "IntProgressModel")
            while states(front_end, bar)[-1:] != [{"description": "full"}]:
                next(front_end.messages())
            told = [s["value"] for s in states(front_end, bar) if "value" in s]
            assert told == list(range(1, UPDATES + 1))
            proxy.armed = False
        finally:
            front_end.close()


def test_a_killed_platform_leaves_widgets_alive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "state"
    monkeypatch.setenv("CLOUDITIA_STATE", str(folder))
    starter.find_or_start(folder)
    front_end = FrontEnd()
    try:
        front_end.until_idle(front_end.remote(OBSERVED))
        slider = opened(front_end, "IntSliderModel")
        cell = front_end.remote(f"{BAR}bar.value = 1\ninput('go on? ')\n{FILL}")
        front_end.question()
        kill_platform(folder)
        front_end.client.input("yes")
        front_end.until_idle(cell)
        starter.find_or_start(folder)
        assert values(front_end) == list(range(1, UPDATES + 1))
        assert text_of(front_end.until_idle(move(front_end, slider, 7))) == "now 7\n"
    finally:
        front_end.close()
        end_platform(folder)
