"""A remote cell asks its user: over real kernels, with a front end that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from clouditia_jupyter import LiveSession
from clouditia_jupyter.notebook import starter
from tests.notebook.front_end import FrontEnd, error_of, opened, say, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.notebook.conftest import Local

# jupyter_client leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def front_end(local: Local) -> Iterator[FrontEnd]:
    made = FrontEnd()
    yield made
    made.close()


def test_a_cell_asks_and_goes_on_with_the_answer(front_end: FrontEnd) -> None:
    cell = front_end.remote(
        "print('before', end=' ')\nname = input('Name? ')\nprint(f'Hello {name}')\n"
        "import getpass\nlen(getpass.getpass('Secret: '))"
    )
    assert front_end.question() == {"prompt": "Name? ", "password": False}
    assert text_of(front_end.outputs(cell)) == "before "  # what was printed is there to be read
    front_end.client.input("Ada")
    assert front_end.question() == {"prompt": "Secret: ", "password": True}
    front_end.client.input("hunter2")
    *_, result = front_end.until_idle(cell)
    assert text_of(front_end.outputs(cell)) == "before Hello Ada\n"
    assert result["data"]["text/plain"] == "7"
    assert "hunter2" not in str(front_end.seen)


def test_a_debugger_in_a_cell_takes_commands(front_end: FrontEnd) -> None:
    cell = front_end.remote("def f(x):\n    import pdb; pdb.set_trace()\n    return x + 1\nf(41)")
    for command in ("p x * 1000", "x = 99", "c"):
        assert "db" in front_end.question()["prompt"]
        front_end.client.input(command)
    *_, result = front_end.until_idle(cell)
    assert "41000" in text_of(front_end.outputs(cell))
    assert result["data"]["text/plain"] == "100"


def test_a_post_mortem_debugger_takes_commands(front_end: FrontEnd) -> None:
    failed = front_end.until_idle(front_end.remote("secret = 6\n1 / 0"))
    assert error_of(failed)["ename"] == "ZeroDivisionError"
    cell = front_end.remote("%debug")
    for command in ("p secret * 7", "q"):
        assert "db" in front_end.question()["prompt"]
        front_end.client.input(command)
    assert "42" in text_of(front_end.until_idle(cell))


def test_the_end_of_input_is_an_eoferror_there(front_end: FrontEnd) -> None:
    cell = front_end.remote("input()")
    front_end.question()
    front_end.client.input("\x04")
    assert error_of(front_end.until_idle(cell))["ename"] == "EOFError"


def test_where_nobody_can_be_asked_the_cell_fails_as_a_local_one_does(front_end: FrontEnd) -> None:
    for code in ("input('? ')", "import getpass; getpass.getpass()"):
        here = error_of(front_end.run(code, allow_stdin=False))
        there = error_of(front_end.until_idle(front_end.remote(code, allow_stdin=False)))
        assert here["ename"] == "StdinNotImplementedError"
        assert (there["ename"], there["evalue"]) == (here["ename"], here["evalue"])


def test_an_interrupt_ends_the_question(front_end: FrontEnd) -> None:
    cell = front_end.remote("kept = 1\ntry:\n    input('? ')\nfinally:\n    print('cleaned up')")
    front_end.question()
    front_end.manager.interrupt_kernel()
    rest = front_end.until_idle(cell)
    assert error_of(rest)["ename"] == "KeyboardInterrupt"
    assert "cleaned up" in text_of(rest)
    (result,) = front_end.until_idle(front_end.remote("kept"))
    assert result["data"]["text/plain"] == "1"


def test_a_time_limit_ends_the_question(front_end: FrontEnd) -> None:
    cell = front_end.remote("input('? ')", "--timeout 1")
    front_end.question()
    assert error_of(front_end.until_idle(cell))["ename"] == "WaitTimeoutError"
    (result,) = front_end.until_idle(front_end.remote("'still here'"))
    assert result["data"]["text/plain"] == "'still here'"


def test_outside_of_runs_nobody_is_asked_and_nothing_waits(front_end: FrontEnd) -> None:
    front_end.until_idle(
        front_end.remote(
            "import ipywidgets as w\n"
            "button, said = w.Button(), []\n"
            "def ask(*_):\n"
            "    try:\n"
            "        said.append(input('Here? '))\n"
            "    except EOFError:\n"
            "        said.append('nobody')\n"
            "button.on_click(ask)\n"
            "import sys\n"
            "def waits():  # for an answer: the thread is in the kernel's own code\n"
            "    frame = sys._current_frames()[thread.ident]\n"
            "    names = []\n"
            "    while frame:\n"
            "        names.append(frame.f_code.co_name)\n"
            "        frame = frame.f_back\n"
            "    return '_input_request' in names"
        )
    )
    click = {"method": "custom", "content": {"event": "click"}}
    front_end.until_idle(say(front_end, opened(front_end, "ButtonModel"), click))
    # a thread asks in the cell that runs, and for no longer than that
    thread = "import threading\nthread = threading.Thread(target=ask)\nthread.start()\n"
    cell = front_end.remote(thread + "thread.join()")
    assert front_end.question()["prompt"] == "Here? "
    front_end.client.input("yes")
    front_end.until_idle(cell)
    cell = front_end.remote(thread + "import time\nwhile not waits(): time.sleep(0.01)")
    front_end.until_idle(cell)
    (result,) = front_end.until_idle(front_end.remote("thread.join(); said"))
    assert result["data"]["text/plain"] == "['nobody', 'yes', 'nobody']"


def test_a_kernel_that_is_restarted_ends_the_question(
    front_end: FrontEnd, local: Local, state: Path
) -> None:
    cell = front_end.remote("input('? ')")
    front_end.question()
    _, manager = local
    (session,) = manager.list_sessions(status="running")
    url = starter.find_or_start(state).editor_url
    with LiveSession(manager.generate_sdk_key(session.id), url) as live:
        live.restart_kernel()
    assert error_of(front_end.until_idle(cell))["ename"] == "SessionLostError"
