"""Pages that are loaded again, notebooks that begin anew, and comms that a front end opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from clouditia_jupyter.notebook.stubs import Opener, comm_manager
from tests.notebook.front_end import (
    FrontEnd,
    all_values,
    comm_ids,
    move,
    open_comm,
    opened,
    say,
    states,
    subshell_of,
    text_of,
)
from tests.notebook.test_widgets import OBSERVED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clouditia_jupyter.notebook.link import Link
    from tests.notebook.conftest import Local

# jupyter_client leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

TARGET = (
    "def taken(comm, message):\n"
    "    print(name, 'opens', message['content']['data'])\n"
    "    comm.on_msg(lambda m: comm.send({name: m['content']['data']}, buffers=m['buffers']))\n"
    "get_ipython().kernel.comm_manager.register_target('target', taken)\n"
)
TARGETS = "sorted(type(t).__name__ for t in comm.get_comm_manager().targets.values())"
THREADS = "import threading\n[t.name for t in threading.enumerate() if 'clouditia' in t.name]"


@pytest.fixture
def front_end(local: Local) -> Iterator[FrontEnd]:
    made = FrontEnd()
    yield made
    made.close()


def test_a_page_that_is_loaded_again_finds_each_widget(front_end: FrontEnd) -> None:
    front_end.until_idle(front_end.remote(OBSERVED))
    slider = opened(front_end, "IntSliderModel")
    front_end.until_idle(move(front_end, slider, 3))
    assert slider in comm_ids(front_end)
    # one by one, as some front ends ask, and all at once
    front_end.until_idle(say(front_end, slider, {"method": "request_state"}))
    assert states(front_end, slider)[-1]["value"] == 3
    front_end.run("import ipywidgets; here = ipywidgets.Image(value=b'here')")
    front_end.until_idle(front_end.remote("there = w.Image(value=b'there')"))
    everything = {("IntSliderModel", 3), ("ImageModel", b"here"), ("ImageModel", b"there")}
    assert all_values(front_end) >= everything
    # while a remote cell runs, too
    cell = front_end.remote("input()")
    front_end.question()
    assert all_values(front_end, subshell_id=subshell_of(front_end)) >= everything
    front_end.client.input("")
    front_end.until_idle(cell)
    front_end.run("%unload_ext clouditia_jupyter")
    left = all_values(front_end)
    assert ("ImageModel", b"here") in left
    assert not left & {("IntSliderModel", 3), ("ImageModel", b"there")}
    assert slider not in comm_ids(front_end)
    (result,) = front_end.run(TARGETS)
    assert result["data"]["text/plain"] == "['function', 'method']"
    (result,) = front_end.run(THREADS)
    assert result["data"]["text/plain"] == "[]"


def test_a_session_that_is_stuck_does_not_hide_the_others_widgets(front_end: FrontEnd) -> None:
    front_end.until_idle(front_end.remote(OBSERVED))
    front_end.run("import ipywidgets; here = ipywidgets.Image(value=b'here')")
    beside = subshell_of(front_end)
    front_end.remote("input()\nimport os, signal; os.kill(os.getpid(), signal.SIGSTOP)")
    front_end.question()
    front_end.client.input("")
    # until it has stopped, it answers; then the answer comes without it
    while ("IntSliderModel", 0) in (found := all_values(front_end, subshell_id=beside)):
        pass
    assert ("ImageModel", b"here") in found


def test_a_widget_made_for_an_earlier_notebook_is_alive_in_the_next(front_end: FrontEnd) -> None:
    front_end.until_idle(front_end.remote("import ipywidgets as w\nimage = w.Image(value=b'a')"))
    front_end.until_idle(front_end.remote(OBSERVED + "\nbox = w.VBox([slider, image])\nbox"))
    front_end.until_idle(move(front_end, opened(front_end, "IntSliderModel"), 3))
    front_end.until_idle(front_end.remote("slider.value = 42"))
    front_end.restart()
    shown = front_end.until_idle(front_end.remote("box"))
    box = opened(front_end, "VBoxModel")
    view = shown[-1]["data"]["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == box
    slider = opened(front_end, "IntSliderModel")
    opens = [m for m in front_end.seen if m["msg_type"] == "comm_open"]
    order = [m["content"]["comm_id"] for m in opens]
    assert order.index(slider) < order.index(box)
    state = opens[order.index(slider)]["content"]["data"]["state"]
    assert (state["value"], state["description"]) == (42, "speed")
    (picture,) = [m for m in opens if m["content"]["comm_id"] == opened(front_end, "ImageModel")]
    assert picture["content"]["data"]["buffer_paths"] == [["value"]]
    assert [bytes(buffer) for buffer in picture["buffers"]] == [b"a"]
    assert text_of(front_end.until_idle(move(front_end, slider, 7))) == "now 7\n"


def test_a_run_that_is_shown_again_shows_what_its_widgets_are_now(front_end: FrontEnd) -> None:
    front_end.until_idle(front_end.remote(OBSERVED + "\ngone = w.Label()"))
    slider, gone = opened(front_end, "IntSliderModel"), opened(front_end, "LabelModel")
    front_end.until_idle(move(front_end, slider, 3))
    front_end.until_idle(front_end.remote("slider.value = 42; gone.close()"))
    front_end.restart()
    front_end.run("runs = %clouditia runs\n%clouditia attach {runs.index[-1]}")
    assert opened(front_end, "IntSliderModel") == slider
    assert states(front_end, slider)[-1]["value"] == 42
    assert gone not in comm_ids(front_end)
    assert text_of(front_end.until_idle(move(front_end, slider, 7))) == "now 7\n"


def test_a_front_end_opens_comms_with_the_targets_of_a_session(front_end: FrontEnd) -> None:
    def answer_of(comm_id: str) -> list[object]:
        front_end.until_idle(say(front_end, comm_id, {"n": 1}, b"\x00\xff"))
        told = [m for m in front_end.seen if m["content"].get("comm_id") == comm_id]
        assert [bytes(buffer) for buffer in told[-1]["buffers"]] == [b"\x00\xff"]
        return [m["content"]["data"] for m in told]

    def end_of(comm_id: str, request: str) -> str:
        front_end.until_idle(request)
        told = [m for m in front_end.seen if m["content"].get("comm_id") == comm_id]
        return str(told[-1]["msg_type"])

    assert end_of(*open_comm(front_end, "target", {})) == "comm_close"  # nobody has it
    front_end.until_idle(front_end.remote("name = 'first'\n" + TARGET))
    first, request = open_comm(front_end, "target", {"a": 1})
    assert text_of(front_end.until_idle(request)) == "first opens {'a': 1}\n"
    assert answer_of(first) == [{"first": {"n": 1}}]
    # who registered it last has it, and it comes back to the other afterwards
    front_end.run("%clouditia create --gpu nvidia-rtx-3060ti --name other")
    front_end.until_idle(front_end.remote("name = 'other'\n" + TARGET, "--session other"))
    other, request = open_comm(front_end, "target", {})
    assert text_of(front_end.until_idle(request)) == "other opens {}\n"
    assert answer_of(other) == [{"other": {"n": 1}}]
    assert answer_of(first)[-1] == {"first": {"n": 1}}
    take_back = "get_ipython().kernel.comm_manager.unregister_target('target', taken)"
    front_end.until_idle(front_end.remote(take_back, "--session other"))
    _, request = open_comm(front_end, "target", {})
    assert text_of(front_end.until_idle(request)) == "first opens {}\n"
    # a kernel that ends takes its targets along
    front_end.until_idle(front_end.remote("import os; os._exit(1)", "--session remote"))
    assert end_of(*open_comm(front_end, "target", {})) == "comm_close"


@pytest.mark.parametrize("local", [None, print], ids=["nobody", "a local library"])
def test_targets_come_back_in_whatever_order_sessions_go(local: object) -> None:
    targets = comm_manager().targets
    before = {"shared": local} if local else {}
    targets.update(before)
    try:
        link = cast("Link", None)
        first, second, third = (Opener(link, "shared", kernel) for kernel in "abc")
        second.withdraw()
        assert targets["shared"] is third
        first.withdraw()
        third.withdraw()
        assert targets.get("shared") is local
    finally:
        targets.pop("shared", None)
