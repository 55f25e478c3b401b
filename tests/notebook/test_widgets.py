"""Remote widgets in a real notebook kernel: what its front end gets, and what it says back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient import NotebookClient

from tests.notebook.front_end import (
    FrontEnd,
    comm_ids,
    move,
    opened,
    say,
    states,
    subshell_of,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.notebook.conftest import Local

# jupyter_client leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

OBSERVED = (
    "import ipywidgets as w\n"
    "slider = w.IntSlider(description='speed', max=100)\n"
    "out = w.Output()\n"
    "slider.observe(lambda change: print('now', change.new), 'value')\n"
    "display(slider)"
)


@pytest.fixture
def front_end(local: Local) -> Iterator[FrontEnd]:
    made = FrontEnd()
    yield made
    made.close()


def is_told_that_it_is_gone(front_end: FrontEnd, slider: str) -> None:
    """Return when a move is answered so: news of the end comes another way than the cell's."""
    said = ""
    while "run the widget's cell again" not in said:
        said = text_of(front_end.until_idle(move(front_end, slider, 3)), "stderr")


def test_a_slider_moved_after_its_cell_reaches_the_session(front_end: FrontEnd) -> None:
    shown = front_end.until_idle(front_end.remote(OBSERVED))
    slider = opened(front_end, "IntSliderModel")
    (view,) = [o["data"] for o in shown if o["type"] == "display_data"]
    assert view["application/vnd.jupyter.widget-view+json"]["model_id"] == slider
    assert "IntSlider" in view["text/plain"]
    # what the move prints comes before the front end is told that all is done
    for value in (7, 42):
        assert text_of(front_end.until_idle(move(front_end, slider, value))) == f"now {value}\n"
    (result,) = front_end.until_idle(front_end.remote("slider.value"))
    assert result["data"]["text/plain"] == "42"


def test_a_bar_advances_while_its_cell_runs(front_end: FrontEnd) -> None:
    cell = front_end.remote(
        "from tqdm.notebook import tqdm\n"
        "bar = tqdm(total=3, mininterval=0)\n"
        "bar.update(1); bar.refresh()\n"
        "input('go on? ')\n"
        "bar.update(2); bar.close()"
    )
    # at the question, before which the cell cannot be over; it comes another way than the bar
    bar, asked = "", False
    while not asked or [s["value"] for s in states(front_end, bar) if "value" in s][-1:] != [1]:
        message = next(front_end.messages())
        asked = asked or message["msg_type"] == "input_request"
        state = message["content"].get("data", {}).get("state", {})
        if message["msg_type"] == "comm_open" and state["_model_name"] == "FloatProgressModel":
            bar = opened(front_end, "FloatProgressModel")
    front_end.client.input("yes")
    front_end.until_idle(cell)
    assert [s["value"] for s in states(front_end, bar) if "value" in s][-1] == 3


def test_a_move_beside_a_running_cell_is_not_lost(front_end: FrontEnd) -> None:
    front_end.until_idle(front_end.remote(OBSERVED))
    slider = opened(front_end, "IntSliderModel")
    cell = front_end.remote("input()")
    front_end.question()
    moved = move(front_end, slider, 5, subshell_id=subshell_of(front_end))
    front_end.client.input("")
    front_end.until_idle(cell)
    while text_of(front_end.outputs(moved)) != "now 5\n":
        next(front_end.messages())


def test_an_interrupt_still_works_once_a_widget_was_moved_beside_the_cell(
    front_end: FrontEnd,
) -> None:
    front_end.until_idle(front_end.remote(OBSERVED))
    slider, beside = opened(front_end, "IntSliderModel"), subshell_of(front_end)
    # a kernel hears a widget where that spoke last: in the subshell from here on
    front_end.until_idle(move(front_end, slider, 4, subshell_id=beside))
    cell = front_end.remote("import time\nprint('begun', flush=True)\ntime.sleep(600)")
    front_end.until(lambda m: m["msg_type"] == "stream")
    front_end.until_idle(move(front_end, slider, 5, subshell_id=beside))
    front_end.manager.interrupt_kernel()
    (error,) = [o for o in front_end.until_idle(cell) if o["type"] == "error"]
    assert error["ename"] == "KeyboardInterrupt"


def test_an_output_widget_captures_under_the_ids_of_this_side(front_end: FrontEnd) -> None:
    cell = front_end.remote("import ipywidgets as w\nout = w.Output()\nwith out:\n    print('in')")
    front_end.until_idle(cell)
    assert [s["msg_id"] for s in states(front_end, opened(front_end, "OutputModel"))] == [cell, ""]


def test_interact_answers_a_move_in_its_own_output(front_end: FrontEnd) -> None:
    front_end.until_idle(
        front_end.remote("from ipywidgets import interact\ninteract(lambda x: x * 2, x=(0, 9));")
    )
    output = opened(front_end, "OutputModel")
    moved = move(front_end, opened(front_end, "IntSliderModel"), 8)
    shown = front_end.until_idle(moved)
    captured = [s["msg_id"] for s in states(front_end, output) if "msg_id" in s]
    assert captured[-2:] == [moved, ""]
    assert [o["data"]["text/plain"] for o in shown if "data" in o] == ["16"]


def test_buffers_go_both_ways(front_end: FrontEnd) -> None:
    image = bytes(range(256))
    front_end.until_idle(
        front_end.remote(
            "import ipywidgets as w\n"
            "image = w.Image(value=bytes(range(256)))\n"
            "upload = w.FileUpload()\n"
            "def got(change):\n    print(bytes(change.new[0]['content']))\n"
            "upload.observe(got, 'value')"
        )
    )
    (sent,) = [
        m
        for m in front_end.seen
        if m["msg_type"] == "comm_open"
        and m["content"]["comm_id"] == opened(front_end, "ImageModel")
    ]
    assert [bytes(buffer) for buffer in sent["buffers"]] == [image]
    file = {"name": "a", "type": "", "size": 3, "last_modified": 0}
    data = {"method": "update", "state": {"value": [file]}}
    data["buffer_paths"] = [["value", 0, "content"]]
    moved = say(front_end, opened(front_end, "FileUploadModel"), data, b"\x00\xff\x01")
    assert text_of(front_end.until_idle(moved)) == f"{bytes([0, 255, 1])!r}\n"


def test_a_thread_goes_on_showing_when_its_request_is_over(front_end: FrontEnd) -> None:
    front_end.until_idle(
        front_end.remote(
            "import ipywidgets as w, threading, time\n"
            "label, button = w.Label('early'), w.Button()\n"
            "def late():\n"
            "    button.disabled = True\n"
            "    gate.wait()\n"
            "    label.value = 'late'\n"
            "    print('late words', flush=True)\n"
            "gate = threading.Event()\n"
            "button.on_click(lambda _: threading.Thread(target=late).start())\n"
            "label.observe(lambda change: gate.set(), 'value')"
        )
    )
    label = opened(front_end, "LabelModel")
    click = {"method": "custom", "content": {"event": "click"}}
    front_end.until_idle(say(front_end, opened(front_end, "ButtonModel"), click))
    moved = move(front_end, label, "opens the gate")
    front_end.until(lambda m: m["msg_type"] == "stream" and "late words" in m["content"]["text"])
    assert [s["value"] for s in states(front_end, label)][-1] == "late"
    assert text_of(front_end.outputs(moved)) == "late words\n"


def test_a_callback_takes_its_time(front_end: FrontEnd) -> None:
    # with that, what takes a second here stands for any length
    front_end.run("from clouditia_jupyter.notebook import link\nlink.HOLD = link._TICK = 0.05")
    front_end.until_idle(
        front_end.remote(
            "import ipywidgets as w, time\n"
            "button, out = w.Button(), w.Output()\n"
            "def train(_):\n"
            "    time.sleep(1)\n"
            "    with out:\n"
            "        print('trained')\n"
            "button.on_click(train)"
        )
    )
    click = {"method": "custom", "content": {"event": "click"}}
    clicked = say(front_end, opened(front_end, "ButtonModel"), click)
    assert text_of(front_end.until_idle(clicked)) == "trained\n"
    captured = [s["msg_id"] for s in states(front_end, opened(front_end, "OutputModel"))]
    assert captured == [clicked, ""]


def test_cells_with_widgets_leave_nothing_behind(front_end: FrontEnd) -> None:
    before = comm_ids(front_end)
    for _ in range(20):
        front_end.until_idle(front_end.remote(OBSERVED + "\nw.Widget.close_all()"))
    assert comm_ids(front_end) == before
    threads = "import threading\nsorted(t.name for t in threading.enumerate() if 'cl' in t.name)"
    (result,) = front_end.run(threads)
    assert result["data"]["text/plain"] == "['clouditia-widgets']"
    front_end.until_idle(front_end.remote(OBSERVED))
    slider = opened(front_end, "IntSliderModel")
    front_end.run("%clouditia stop --yes")
    is_told_that_it_is_gone(front_end, slider)
    assert comm_ids(front_end) == before
    (result,) = front_end.run(
        "link_threads = threads = [t for t in threading.enumerate() "
        "if t.name == 'clouditia-widgets']\n[t.join(30) for t in threads]\n"
        "[t.is_alive() for t in threads]"
    )
    assert "True" not in result["data"]["text/plain"]


def test_widgets_of_a_kernel_that_is_gone_are_forgotten(front_end: FrontEnd) -> None:
    front_end.until_idle(front_end.remote(OBSERVED))
    slider = opened(front_end, "IntSliderModel")
    front_end.until_idle(front_end.remote("import os; os._exit(1)"))
    is_told_that_it_is_gone(front_end, slider)
    # once
    assert front_end.until_idle(move(front_end, slider, 4)) == []
    front_end.until_idle(front_end.remote(OBSERVED))
    moved = move(front_end, opened(front_end, "IntSliderModel"), 9)
    assert text_of(front_end.until_idle(moved)) == "now 9\n"
    assert slider not in comm_ids(front_end)


def test_a_headless_run_keeps_the_text_and_the_widgets(local: Local) -> None:
    cells = [
        "%load_ext clouditia_jupyter",
        "%clouditia create --gpu nvidia-rtx-3060ti",
        "%%clouditia_run\n" + OBSERVED,
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    (view,) = [o.data for o in notebook.cells[-1].outputs if o.output_type == "display_data"]
    assert "IntSlider" in view["text/plain"]
    (saved,) = notebook.metadata.widgets.values()
    kept = saved["state"][view["application/vnd.jupyter.widget-view+json"]["model_id"]]
    assert kept["state"]["description"] == "speed"


def test_a_terminal_shows_text(local: Local, capsys: pytest.CaptureFixture[str]) -> None:
    shell, _ = local
    shell.run("%clouditia create --gpu nvidia-rtx-3060ti")
    shell.ip.run_cell_magic("clouditia_run", "", OBSERVED + "\nslider.value = 3")
    assert "IntSlider(value=0" in capsys.readouterr().out
