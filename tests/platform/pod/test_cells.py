"""Cells in a real pod: what a run's event stream says."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from jupyter_client.connect import write_connection_file

from tests.platform.pod.conftest import RunningPod


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def test_a_result_comes_with_its_data_and_count(pod: RunningPod) -> None:
    result, done = pod.run("6 * 7")
    assert result["type"] == "execute_result"
    assert result["content"]["data"] == {"text/plain": "42"}
    assert done["content"]["status"] == "ok"
    assert done["content"]["execution_count"] == result["content"]["execution_count"]


def test_state_persists_from_cell_to_cell(pod: RunningPod) -> None:
    pod.run("kept = [1]")
    pod.run("kept.append(2)")
    assert pod.text("print(kept)") == "[1, 2]\n"


def test_the_streams_stay_apart_and_in_order(pod: RunningPod) -> None:
    events = pod.run("import sys\nprint('a'); print('b', file=sys.stderr, flush=True); print('c')")
    by_name = {"stdout": "", "stderr": ""}
    for event in events[:-1]:
        by_name[event["content"]["name"]] += event["content"]["text"]
    assert by_name == {"stdout": "a\nc\n", "stderr": "b\n"}


def test_half_a_surrogate_pair_loses_no_text(pod: RunningPod) -> None:
    code = "print('é'); print('a\\ud800b'); print('last')"
    assert pod.text(code) == "é\na\\ud800b\nlast\n"
    (stream, _) = pod.run("import sys\nprint('a\\udcff', file=sys.stderr)")
    assert stream["content"] == {"name": "stderr", "text": "a\\udcff\n"}


def test_an_error_carries_the_traceback(pod: RunningPod) -> None:
    *_, error, done = pod.run("def f():\n    return {}['key']\nf()")
    assert error["content"]["ename"] == "KeyError"
    assert error["content"]["evalue"] == "'key'"
    assert "f()" in "".join(error["content"]["traceback"])
    assert done["content"]["status"] == "error"


def test_a_cell_after_an_error_runs(pod: RunningPod) -> None:
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        failing = pool.submit(pod.run, "1 / 0")
        following = pool.submit(pod.run, "'still here'")
        assert failing.result()[-1]["content"]["status"] == "error"
        assert following.result()[-1]["content"]["status"] == "ok"


def test_magics_and_await_work(pod: RunningPod) -> None:
    assert pod.text("%%bash\necho from a shell") == "from a shell\n"
    assert pod.text("import asyncio\nawait asyncio.sleep(0)\nprint('awaited')") == "awaited\n"


def test_figures_arrive_as_images(pod: RunningPod) -> None:
    pytest.importorskip("matplotlib")
    events = pod.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()")
    shown = [e["content"]["data"] for e in events if e["type"] == "display_data"]
    assert ["image/png" in data for data in shown] == [True]


def test_many_flushed_lines_arrive_whole_and_numbered(pod: RunningPod) -> None:
    events = pod.run("for n in range(2000): print(n, flush=True)")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    text = "".join(e["content"]["text"] for e in events if e["type"] == "stream")
    assert text.split() == [str(n) for n in range(2000)]


def test_what_a_thread_prints_after_its_cell_is_not_lost(pod: RunningPod) -> None:
    pod.run(
        "import threading\n"
        "go = threading.Event()\n"
        "def late():\n    go.wait(); print('late words', flush=True)\n"
        "thread = threading.Thread(target=late); thread.start()"
    )
    shown = pod.text("go.set(); thread.join(); print('next cell')") + pod.text("print('one more')")
    assert "late words" in shown


def test_the_same_run_id_runs_once(pod: RunningPod) -> None:
    pod.run("hits = 0")
    first = pod.run("hits += 1\nhits", run_id="only-once-1")
    again = pod.run("hits += 1\nhits", run_id="only-once-1")
    assert again == first
    assert pod.text("print(hits)") == "1\n"


def test_events_can_be_read_again_from_anywhere(pod: RunningPod) -> None:
    events = pod.run("print('a', flush=True)\nprint('b', flush=True)\n3", run_id="read-again")
    answer = pod.client.get("/api/runs/read-again/events/", params={"after": 1})
    assert [json.loads(line) for line in answer.text.splitlines()] == events[1:]


def test_a_reader_that_goes_away_changes_nothing(pod: RunningPod) -> None:
    pod.run("import threading; gate = threading.Event()")
    body = {
        "code": "print('begun', flush=True)\ngate.wait(30)\nprint('ended')",
        "run_id": "cut-off-1",
    }
    with pod.client.stream("POST", "/api/runs/", json=body) as answer:
        first = json.loads(next(answer.iter_lines()))
    assert first["content"]["text"].startswith("begun")
    # the run goes on by itself: opened from outside the cell, through a second kernel message
    opened = pod.client.post("/api/shell/", json={"command": "true"})
    assert opened.json()["success"]
    pod.client.post("/api/runs/cut-off-1/interrupt/")
    rest = pod.client.get("/api/runs/cut-off-1/events/", params={"after": first["seq"]})
    kinds = types([json.loads(line) for line in rest.text.splitlines()])
    assert kinds[-1] == "done"


def test_an_interrupt_ends_the_cell_with_what_it_still_says(pod: RunningPod) -> None:
    code = (
        "import time\ntry:\n    print('in', flush=True); time.sleep(600)\n"
        "finally:\n    print('out')"
    )
    body = {"code": code, "run_id": "interrupt-1"}
    with pod.client.stream("POST", "/api/runs/", json=body) as answer:
        lines = answer.iter_lines()
        assert json.loads(next(lines))["content"]["text"] == "in\n"
        assert pod.client.post("/api/runs/interrupt-1/interrupt/").json() == {"success": True}
        events = [json.loads(line) for line in lines if line]
    assert "out" in json.dumps(events)
    errors = [event["content"] for event in events if event["type"] == "error"]
    assert [error["ename"] for error in errors] == ["KeyboardInterrupt"]
    assert "interrupts.py" not in "".join(errors[0]["traceback"])


def interrupted(pod: RunningPod, code: str) -> list[dict[str, Any]]:
    """Run code that begins by printing a line, interrupt it then, and return what came after."""
    body = {"code": code, "run_id": uuid.uuid4().hex}
    with pod.client.stream("POST", "/api/runs/", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        pod.client.post(f"/api/runs/{body['run_id']}/interrupt/")
        return [json.loads(line) for line in lines if line]


def test_an_interrupt_ends_what_a_cell_awaits(pod: RunningPod) -> None:
    pod.run("kept = 1")
    code = "import asyncio\nprint('in', flush=True)\nawait asyncio.sleep(600)"
    error, done = interrupted(pod, code)
    assert error["type"] == "error"
    assert done["content"]["ename"] == "CancelledError"  # as in any notebook
    assert pod.text("print(kept)") == "1\n"


def test_an_interrupt_comes_before_what_is_behind_a_long_call(pod: RunningPod) -> None:
    # nothing else runs in the process meanwhile
    error, done = interrupted(pod, "print('in', flush=True)\nsum(range(50_000_000))")
    assert done["content"]["ename"] == "KeyboardInterrupt"
    assert "line 2" in "".join(error["content"]["traceback"])
    assert "streams.py" not in "".join(error["content"]["traceback"])


@pytest.mark.parametrize("half", [r"\udc80", r"\udcff"])
def test_names_that_are_no_text_show_as_far_as_they_are(pod: RunningPod, half: str) -> None:
    shown, after, _ = pod.run(
        f"from IPython.display import HTML, display\ndisplay(HTML('file {half}'))\nprint('after')"
    )
    assert shown["content"]["data"]["text/html"] == "file \ufffd"
    assert after["content"]["text"] == "after\n"
    error, done = pod.run(f"class E(Exception):\n    __str__ = lambda self: 'x{half}'\nraise E")
    assert error["content"]["evalue"] == done["content"]["evalue"] == "x\ufffd"


def test_an_interrupt_at_once_ends_the_cell_too(pod: RunningPod) -> None:
    # whenever it hits: before the kernel has taken up the code, while it does, or after
    for attempt in range(20):
        run_id = f"interrupt-at-once-{attempt}"
        body = {"code": "import time; time.sleep(600)", "run_id": run_id}
        with pod.client.stream("POST", "/api/runs/", json=body) as answer:
            pod.client.post(f"/api/runs/{run_id}/interrupt/")
            events = [json.loads(line) for line in answer.iter_lines() if line]
        assert [e["type"] for e in events] == ["error", "done"]
        assert events[0]["content"]["ename"] == "KeyboardInterrupt"
        assert events[0]["content"]["final"]


def test_an_interrupted_queued_run_never_begins(pod: RunningPod) -> None:
    pod.run("begun = []")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        code = "import time; begun.append(1); print('in', flush=True); time.sleep(600)"
        first = {"code": code, "run_id": "first-in-line"}
        with pod.client.stream("POST", "/api/runs/", json=first) as answer:
            next(answer.iter_lines())
            waiting = pool.submit(pod.run, "begun.append(2)", run_id="second-in-line")
            while "second-in-line" not in pod.client.get("/api/runs/").text:
                pass
            pod.client.post("/api/runs/second-in-line/interrupt/")
            assert waiting.result()[-1]["content"]["status"] == "lost"
            pod.client.post("/api/runs/first-in-line/interrupt/")
    assert pod.text("print(begun)") == "[1]\n"


def test_a_kernel_that_dies_says_so_and_is_replaced(fresh_pod: RunningPod) -> None:
    fresh_pod.run("here = 1")
    events = fresh_pod.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert events[-1]["content"]["status"] == "lost"
    assert "variables are gone" in events[-2]["content"]["evalue"]
    assert fresh_pod.text("print('here' in globals())") == "False\n"


def test_last_words_are_of_the_kernel_that_ended(fresh_pod: RunningPod) -> None:
    fresh_pod.run("!echo shown in its cell")
    *_, error, _ = fresh_pod.run("import os; os._exit(0)")
    assert "shown" not in error["content"]["evalue"]
    *_, error, _ = fresh_pod.run("import os; os.write(2, b'out of luck\\n'); os.abort()")
    assert "It last wrote: out of luck." in error["content"]["evalue"]
    *_, error, _ = fresh_pod.run("import os; os._exit(0)")
    assert "luck" not in error["content"]["evalue"]


def test_what_is_begun_behind_an_exit_runs_in_the_next_kernel(fresh_pod: RunningPod) -> None:
    slow = "import atexit, time\natexit.register(time.sleep, 0.3)\n"
    behind = "print('here' in globals())\nimport asyncio\nawait asyncio.sleep(0.5)\nprint('all')"
    for way in ("exit()", slow + "get_ipython().ask_exit()"):
        events = fresh_pod.run(f"here = 1\n{way}")
        assert types(events) == ["done"]
        assert fresh_pod.text(behind) == "False\nall\n"
    # so do questions about its variables
    fresh_pod.run("here = 1\nexit()")
    asked = fresh_pod.client.post("/api/names/", json={"names": ["here"], "modules": {}})
    assert asked.json()["present"] == []
    fresh_pod.run(f"here = 1\n{slow}exit()")
    question = {"code": "her", "cursor_pos": 3}
    assert fresh_pod.client.post("/api/complete/", json=question).json()["answer"] is None
    fresh_pod.run("here = 1\nexit(keep_kernel=True)")
    assert fresh_pod.text("print(here)") == "1\n"


def test_a_restart_loses_the_running_cell_and_the_variables(fresh_pod: RunningPod) -> None:
    body = {
        "code": "here = 1\nprint('in', flush=True)\nimport time; time.sleep(600)",
        "run_id": "running-1",
    }
    with fresh_pod.client.stream("POST", "/api/runs/", json=body) as answer:
        lines = answer.iter_lines()
        next(lines)
        assert fresh_pod.client.post("/api/kernel/restart/").json() == {"success": True}
        events = [json.loads(line) for line in lines if line]
    assert events[-1]["content"]["status"] == "lost"
    assert fresh_pod.text("print('here' in globals())") == "False\n"


def test_runs_are_listed_newest_first(fresh_pod: RunningPod) -> None:
    fresh_pod.run("# a comment\nfirst = 1")
    fresh_pod.run("\n1 / 0")
    runs = fresh_pod.client.get("/api/runs/").json()["runs"]
    assert [(run["status"], run["first_line"]) for run in runs] == [
        ("error", "1 / 0"),
        ("ok", "# a comment"),
    ]


def test_no_token_no_answer(pod: RunningPod) -> None:
    answer = httpx.get(pod.client.base_url.join("/api/runs/"))
    assert answer.status_code == 401
    assert answer.json()["code"] == "authentication"


def test_the_kernel_ends_with_its_pod(fresh_pod: RunningPod) -> None:
    # the process id outside: a sandbox has numbers of its own
    children = [int(pid) for pid in _children(fresh_pod.process.pid)]
    assert children
    fresh_pod.process.send_signal(signal.SIGKILL)
    fresh_pod.process.wait(20)
    for pid in children:
        _wait_gone(pid)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _wait_gone(pid: int) -> None:
    """Return when the process is gone; its end is already under way."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    import select

    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = poll.poll(20_000)
    os.close(descriptor)
    assert ended, f"process {pid} outlived its pod"


@pytest.mark.parametrize("moment", ["idle", "busy", "starting", "restarting"])
def test_a_run_after_the_kernel_was_killed_finds_a_fresh_one(
    moment: str, fresh_pod: RunningPod
) -> None:
    def kill_kernel() -> None:
        for process in psutil.Process(fresh_pod.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    with concurrent.futures.ThreadPoolExecutor() as others:
        for _ in range(4):
            busy = None
            if moment == "busy":
                busy = others.submit(fresh_pod.run, "import time\nwhile True: time.sleep(0.01)")
                while not any(run["status"] == "running" for run in runs_of(fresh_pod)):
                    pass
            kill_kernel()
            if moment == "starting":
                kill_kernel()
            if moment == "restarting":
                others.submit(fresh_pod.client.post, "/api/kernel/restart/")
            # at first the run may be lost with the kernel that just died; it never hangs
            tries = [fresh_pod.run("6 * 7")[-1]["content"]["status"] for _ in range(4)]
            assert tries[-1] == "ok", tries
            if busy is not None:
                assert busy.result()[-1]["content"]["status"] == "lost"
    tree = psutil.Process(fresh_pod.process.pid).children(recursive=True)
    kernels = [p for p in tree if p.name() != "bwrap"]
    assert len(kernels) == 1


def runs_of(pod: RunningPod) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = pod.client.get("/api/runs/").json()["runs"]
    return found


def test_a_kernel_ends_when_its_pod_lets_go_of_it(tmp_path: Path) -> None:
    # whatever stands between them: here the kernel's own parent lives on
    file, _ = write_connection_file(
        str(tmp_path / "c.json"), ip=str(tmp_path / "k"), transport="ipc"
    )
    command = [sys.executable, "-m", "clouditia_jupyter.platform.pod.entry", "-f", file]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=log, start_new_session=True
        ) as kernel,
    ):
        while not (tmp_path / "k-1").exists():  # its shell channel
            assert kernel.poll() is None
        assert kernel.stdin is not None
        assert kernel.poll() is None
        kernel.stdin.close()
        assert kernel.wait(20) == -signal.SIGKILL


def test_what_a_cell_starts_finds_no_input(pod: RunningPod) -> None:
    assert pod.text("import subprocess; print(subprocess.run(['cat']).returncode)") == "0\n"


def test_names_are_looked_up_in_the_kernel_that_comes_after_a_lost_one(
    fresh_pod: RunningPod,
) -> None:
    for _ in range(3):
        events = fresh_pod.run("import os\nos.kill(os.getpid(), 9)")
        assert events[-1]["content"]["status"] == "lost"
        answer = fresh_pod.client.post("/api/names/", json={"names": ["os"], "modules": {}})
        assert answer.status_code == 200, answer.text
