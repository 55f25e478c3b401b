"""Cells that break what they run in: what a local kernel survives, the agent's survives too."""

from __future__ import annotations

import uuid

import pytest

from tests.client.agent.conftest import text, until


@pytest.mark.parametrize(
    "code",
    [
        "import io, sys\nsys.stdout = sys.stderr = io.StringIO()",
        "import builtins\nbuiltins.print = lambda *a, **k: None\ndel builtins.open, builtins.input",
        "import json\njson.dumps = json.loads = None",
        "import time\ntime.time = time.sleep = None",
        "import threading\nthreading.Event = threading.Thread = None",
        "import os\nos.close(0)\nos.close(1)\nos.close(2)",
        "import sys\nfor name in list(sys.modules):\n    if 'clouditia' in name:\n"
        "        del sys.modules[name]",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
        "%reset -f",
        "globals().clear()",
        "import sys\nsys.displayhook = None\n1",
        "import sys\nsys.excepthook = None\n1 / 0",
        "get_ipython().showtraceback = None\n1 / 0",
        "get_ipython().events.register('pre_run_cell', lambda info: 1 / 0)",
        "get_ipython().display_formatter = None\n1",
        "raise SystemExit",
        "class Quiet(BaseException):\n    def __str__(self):\n        1 / 0\nraise Quiet",
        "def f():\n    return f()\nf()",
        "import asyncio\nfor task in asyncio.all_tasks():\n    task.cancel()",
        "import os, sys, logging\nlogging.disable()\nos.environ.clear()\nsys.path.clear()",
    ],
    ids=lambda code: code.split("\n")[-1][:40],
)
def test_a_kernel_survives(live, code):
    live.run("import sys\nsys.kept = 1")
    assert list(live.start(code))[-1].content["status"] in ("ok", "error")
    # nothing that a cell can have broken is needed for that
    assert list(live.start("import sys\nassert sys.kept == 1"))[-1].content["status"] == "ok"


def test_an_interrupt_means_the_cell_whatever_a_cell_before_made_of_it(live):
    live.run("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)")
    stream = live.start("import time\nprint('begun')\ntime.sleep(600)")
    next(stream)
    stream.interrupt()
    assert [e.content.get("ename") for e in stream][:1] == ["KeyboardInterrupt"]


def test_forks_of_a_cell_print_and_end(live):
    forked = "import os\npid = os.fork()\nprint('child' if pid == 0 else 'parent', flush=True)\n"
    events = list(live.start(forked + "if pid:\n    os.waitpid(pid, 0)"))
    assert sorted(text(events).split()) == ["child", "parent"]
    assert [e.type for e in events].count("done") == 1
    pool = (
        "import multiprocessing as mp\ndef square(x):\n    print('in', x, flush=True)\n"
        "    return x * x\nwith mp.get_context('fork').Pool(2) as pool:\n"
        "    squares = pool.map(square, range(4))\nsquares"
    )
    result = live.run(pool)
    assert result.result == "[0, 1, 4, 9]"
    assert sorted(result.output.split("\n")[:4]) == [f"in {x}" for x in range(4)]
    assert live.run("sum(squares)").result == "14"


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os\nos._exit(3)", "ended with status 3"),
        ("import ctypes\nctypes.string_at(0)", "ended by signal 11"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "memory may have run out"),
        ("import os\nos.closerange(3, 256)", "ended with status 1"),
    ],
    ids=["exit", "crash", "killed", "mute"],
)
def test_a_kernel_that_a_cell_ends_is_said_and_replaced(live, code, how):
    live.run("x = 1")
    *_, error, done = live.start(code)
    assert how in error.content["evalue"]
    assert done.content["status"] == "lost"
    assert live.run("x").ename == "NameError"


def test_a_kernel_that_dies_between_two_cells_is_said_by_the_next(live):
    for _ in range(20):
        marker = uuid.uuid4().hex
        die = f"    {until(marker).strip().replace(chr(10), chr(10) + '    ')}\n    os._exit(3)\n"
        live.run(f"import threading\ndef die():\n{die}threading.Thread(target=die).start()\nx = 1")
        live.shell(f"touch {marker}")
        while (result := live.run("x")).success:
            pass
        if result.status != "lost":
            break
        assert "ended with status 3" in result.evalue  # it died under that cell: again
    assert "ended with status 3" in result.stderr
    assert "its variables are gone" in result.stderr
    assert result.ename == "NameError"


def test_a_workspace_that_is_cleaned_up_changes_nothing(live, wired):
    live.run("x = 1")
    assert live.run("!rm -rf .clouditia /tmp/clouditia-*\nx").result == "1"
    live.run("import os\nwhile not os.path.exists('.clouditia/agent-1.json'): pass")
    assert wired.run("x").result == "1"  # by namespaces of its own
    live.restart_kernel()
    assert wired.run("2 + 2").result == "4"


def test_threads_that_outlive_their_cell_are_heard_in_the_next(live):
    marker = uuid.uuid4().hex
    live.run(
        "import threading\ndef late():\n"
        f"    {until(marker).strip().replace(chr(10), chr(10) + '    ')}\n"
        "    print('late words', flush=True)\n    said.set()\n"
        "said = threading.Event()\nthreading.Thread(target=late).start()"
    )
    result = live.run(f"open({marker!r}, 'w').close()\nsaid.wait(60)")
    assert result.output.startswith("late words\n")


def test_a_lot_in_one_piece_comes_whole_and_in_order(live):
    result = live.run("print('x' * 20_000_000)\nprint('end')")
    assert len(result.output) == 20_000_001 + 4
    assert result.output.endswith("x\nend\n")
    rich = live.run("from IPython.display import HTML\nHTML('y' * 8_000_000)")
    assert len(rich.display_data[0]["text/html"]) == 8_000_000


def test_what_programs_write_comes_between_the_prints_where_it_was_written(live):
    for call in ("subprocess.run(['echo', f'b {n}'])", "os.system(f'echo b {n}')"):
        code = f"import os, subprocess\nfor n in range(60):\n    print('a', n)\n    {call}"
        assert live.run(code).output == "".join(f"a {n}\nb {n}\n" for n in range(60))


def test_half_a_surrogate_pair_is_spelt_out(live):
    result = live.run(r"print('a\udc80'); raise ValueError('b\ud83d')")
    assert result.output == "a\\udc80\n"
    assert result.evalue == "b\\ud83d"
    assert "".join(result.traceback).isascii()


def test_a_stream_that_a_cell_closed_takes_nothing(live):
    result = live.run("import sys\nbefore = sys.stdout\nsys.stdout.close()\nprint(1)")
    assert (result.ename, result.evalue) == ("ValueError", "I/O operation on closed file")
    live.restart_kernel()
    assert live.run("print(1)").output == "1\n"
