"""The agent: what a service without event streams, interrupts and variables gains by it."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import uuid

import httpx
import numpy as np
import pandas as pd
import pytest

from clouditia_jupyter.client import LiveSession
from clouditia_jupyter.client.agent.line import Line, SilentError
from clouditia_jupyter.client.agent.remote.use import Gauge
from clouditia_jupyter.client.agent.remote.wire import pack
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import JobNotFoundError, SessionLostError, ValueTransferError
from tests.client.agent.conftest import EXEC, text, until

# What a cell gives


def test_the_same_events_as_from_a_pod(live):
    events = list(
        live.start(
            "import sys\nprint('out')\nprint('err', file=sys.stderr)\n"
            "from IPython.display import HTML, display, clear_output\n"
            "h = display(HTML('<b>a</b>'), display_id='x')\nh.update(HTML('<i>b</i>'))\n"
            "clear_output(wait=True)\n6 * 7"
        )
    )
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    kinds = [e.type for e in events]
    assert kinds[2:] == [
        "display_data",
        "update_display_data",
        "clear_output",
        "execute_result",
        "done",
    ]
    assert (text(events), text(events, "stderr")) == ("out\n", "err\n")
    assert events[2].content["data"]["text/html"] == "<b>a</b>"
    assert events[3].content["transient"] == {"display_id": "x"}
    assert events[-2].content["data"] == {"text/plain": "42"}
    assert events[-2].content["execution_count"] == events[-1].content["execution_count"] == 1
    assert events[-1].content["status"] == "ok"


def test_figures_magics_and_awaits(live):
    figure = live.run("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    assert [set(data) for data in figure.display_data] == [{"image/png", "text/plain"}]
    assert live.run("import asyncio\nawait asyncio.sleep(0.01)\n'awaited'").result == "'awaited'"
    assert live.run("_ + '!'").result == "'awaited!'"
    assert live.run("!echo from a shell").output.split() == ["from", "a", "shell"]
    assert "from bash" in live.run("%%bash\necho from bash").output
    assert "CPU times" in live.run("%time 1").output
    assert "Docstring" in live.run("print?").display_data[0]["text/plain"]
    raw = live.run("import os\nos.write(1, b'raw')\nos.system('echo child');")
    assert raw.output == "rawchild\n"


def test_what_a_cell_prints_arrives_while_it_runs(live):
    marker = uuid.uuid4().hex
    stream = live.start(f"print('before')\n{until(marker)}print('after')")
    assert next(stream).content["text"] == "before\n"
    live.shell(f"touch {marker}")  # not before what it printed is here
    assert text(stream) == "after\n"


def test_errors_are_those_of_a_notebook(live):
    *_, error, done = live.start("def f():\n    return 1 / 0\nf()")
    assert (error.content["ename"], error.content["evalue"]) == (
        "ZeroDivisionError",
        "division by zero",
    )
    trace = "\n".join(error.content["traceback"])
    assert "return" in trace
    assert "clouditia" not in trace
    assert done.content["status"] == "error"
    assert live.run("def f(:").ename == "SyntaxError"
    assert live.run("input('?')").ename == "StdinNotImplementedError"


def test_a_lot_of_output_loses_nothing(live):
    result = live.run("for n in range(30_000):\n    print(n, 'x' * 60)")
    lines = result.output.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(30_000))


# Interrupts, and the kernel's life


@pytest.mark.parametrize(
    "wait", ["time.sleep(600)", "await asyncio.sleep(600)", "while True: pass", "!sleep 600"]
)
def test_an_interrupt_gets_through_while_output_is_awaited(live, wait):
    stream = live.start(f"import asyncio, time\nkept = 1\nprint('begun')\n{wait}")
    assert next(stream).content["text"] == "begun\n"
    rest = []
    # polls for output from here on
    listener = threading.Thread(target=lambda: rest.extend(stream))
    listener.start()
    live.attach(stream.run_id).interrupt()
    listener.join()
    if wait[0] != "!":  # there IPython itself takes it, and the cell goes on
        assert rest[-2].content["ename"] == "KeyboardInterrupt"
        assert rest[-1].content["status"] == "error"
    assert live.run("kept").result == "1"


def test_a_run_that_waits_can_be_cancelled(live):
    marker = uuid.uuid4().hex
    first = live.start(until(marker))
    second, third = live.start("print('never')"), live.start("print('then')")
    second.interrupt()
    assert [e.content.get("status") for e in second][-1] == "lost"
    live.shell(f"touch {marker}")
    assert text(first) == ""
    assert text(third) == "then\n"
    states = {run["run_id"]: run["status"] for run in live.runs()}
    assert [states[s.run_id] for s in (first, second, third)] == ["ok", "lost", "ok"]


def test_a_kernel_that_dies_is_replaced(live):
    live.run("x = 1")
    *rest, done = live.start("import os\nos.write(1, b'last words')\nos._exit(3)")
    assert text(rest) == "last words"
    assert done.content["status"] == "lost"
    assert "ended with status 3" in rest[-1].content["evalue"]
    assert live.run("x").ename == "NameError"


def test_a_restart_ends_what_runs(live):
    deaf = "x = 1\nimport time\nprint('begun')\nwhile True:\n    try:\n        time.sleep(600)\n"
    stream = live.start(deaf + "    except KeyboardInterrupt:\n        print('deaf')")
    next(stream)
    stream.interrupt()
    assert next(stream).content["text"] == "deaf\n"
    live.restart_kernel()
    assert list(stream)[-1].content["status"] == "lost"
    assert live.run("x").ename == "NameError"


# Nothing lost, none twice


def test_lost_answers_lose_nothing(wired, wire):
    wired.run("count = 0")
    # the one that submits, then every other one that brings output
    wire.lose = iter([True, False] * 3)
    code = "import time\ncount += 1\nfor n in range(60):\n    print(n)\n    time.sleep(0.02)"
    events = list(wired.start(code))
    assert [e.seq for e in events] == list(range(1, len(events) + 1))
    assert text(events).split() == [str(n) for n in range(60)]
    assert wired.run("count").result == "1"
    assert next(wire.lose, "none left") == "none left"


def test_a_run_id_runs_once(live):
    run_id = uuid.uuid4().hex
    live.run("count = 0")
    first = list(live.start("count += 1\nprint(count)", run_id=run_id))
    assert list(live.start("count += 1\nprint(count)", run_id=run_id)) == first
    assert live.run("count").result == "1"


def test_another_client_finds_run_and_variables(session, live):
    marker = uuid.uuid4().hex
    with LiveSession(*session) as gone:
        run_id = gone.start(f"kept = 5\nprint('one')\n{until(marker)}print('two')").run_id
    with LiveSession(*session) as other:
        assert other.runs()[0]["run_id"] == run_id
        assert other.runs()[0]["status"] == "running"
        stream = other.attach(run_id)
        assert next(stream).content["text"] == "one\n"
        other.shell(f"touch {marker}")
        rest = list(stream)
        assert text(rest) == "two\n"
        assert list(other.attach(run_id, after=1)) == rest
        assert other.run("kept").result == "5"
        with pytest.raises(JobNotFoundError):
            next(other.attach("0" * 32))


def test_answers_that_are_cut_short_are_asked_for_in_pieces(wired, wire):
    wired.run("import random")
    wire.longest = 40_000
    assert len(wired.run("print(random.randbytes(100_000).hex())").output) == 200_001
    wired.run("v = random.randbytes(200_000)")
    assert len(wired.pull("v")) == 200_000


def test_a_namespace_that_somebody_stopped_is_replaced(live, wired, wire):
    live.run("x = 1")
    assert wired.run("x").result == "1"
    own = wire.bodies(EXEC)[-1]["persistent_id"]
    with httpx.Client(trust_env=False) as client:
        request = wired._route.platform.request(
            "POST", "/api/session/stop/", json={"persistent_id": own}
        )
        assert client.send(request).status_code == 200
    assert wired.run("x").result == "1"
    assert wire.bodies(EXEC)[-1]["persistent_id"] != own


def test_an_agent_that_is_gone_is_said_once_to_each_client(live, wired):
    wired.run("x = 1")
    with pytest.raises(SessionLostError, match="variables are gone"):
        wired.run("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)").raise_for_error()
    assert wired.run("x").ename == "NameError"
    with pytest.raises(SessionLostError, match="variables are gone"):
        live.run("x")
    assert live.run("x").ename == "NameError"


def test_only_the_agent_s_own_words_are_its_answer():
    def answer(request):
        code = json.loads(request.read())["code"]
        marker = re.findall(r"'([0-9a-f]{32})'", code)[0]
        said = base64.b64encode(b"p" + pack({"status": 200}, b"bytes")).decode()
        noise = f"{'0' * 32}:{said}:{'0' * 32}\n"
        output = f"{noise}{marker}:{said}:{marker}\n(warning){noise}"
        return httpx.Response(200, json={"success": True, "output": output})

    wire = httpx.MockTransport(answer)
    line = Line(Transport("http://127.0.0.1", "sk_live_x", http_transport=wire), "p1")
    assert line.exchange({"op": "hello"}) == ({"status": 200}, b"bytes")
    quiet = httpx.MockTransport(lambda _: httpx.Response(200, json={"output": "(Aucune sortie)"}))
    line = Line(Transport("http://127.0.0.1", "sk_live_x", http_transport=quiet), "p1")
    with pytest.raises(SilentError):
        line.exchange({"op": "hello"})


# Variables


def test_values_cross_as_they_are(live):
    frame = pd.DataFrame(
        {"t": pd.date_range("2024", periods=3, tz="Europe/Paris"), "c": pd.Categorical(list("aba"))}
    )
    array = np.arange(60_000.0).reshape(200, 300)  # more than one piece
    live.push("frame", frame)
    live.push("array", array)
    live.push("plain", {"a": [1, None, "é"]})
    live.push("function", lambda x: x + 1)
    assert live.run("function(array.sum())").success
    pd.testing.assert_frame_equal(live.pull("frame"), frame)
    np.testing.assert_array_equal(live.pull("array"), array)
    assert live.pull("plain") == {"a": [1, None, "é"]}
    with pytest.raises(ValueTransferError, match="plain"):
        live.pull("plian")


def test_nothing_is_unpickled_unasked(live):
    live.run("class A:\n    def __reduce__(self):\n        return str, ('unpickled',)\na = A()")
    with pytest.raises(ValueTransferError, match="--trust-pickle"):
        live.pull("a")
    assert live.pull("a", allow_pickle=True) == "unpickled"


def test_requests_are_small_short_and_without_keys(session, wired, wire):
    wired.run("import os")
    wired.push("blob", os.urandom(300_000))
    assert wired.run("len(blob)").result == "300000"
    wired.pull("blob")
    wired.complete("os.pa", 5)
    stream = wired.start("import time\ntime.sleep(600)")
    stream.interrupt()
    list(stream)
    wired.restart_kernel()
    wired.runs()
    bodies = wire.bodies(EXEC)
    assert max(body["timeout"] for body in bodies) <= 90
    assert max(len(body["code"]) for body in bodies) < 2 * 64 * 1024
    packed = [re.findall("'([A-Za-z0-9+/=]{40,})'", body["code"]) for body in bodies]
    sent = [body for _, body in wire.sent]
    sent += [base64.b64decode(text) for texts in packed for text in texts]
    assert any(b'"op": "restart"' in body for body in sent)
    # the agent's transport has a random token of its own, which belongs to this process alone
    for key in (session[0].encode(), wired._route.transport._key):
        assert not any(key in body for body in sent)


def test_names_while_one_types(live):
    live.run("remote_name = 1")
    answer = live.complete("remote_n", 8)
    assert answer is None or answer["matches"] == ["remote_name"]
    stream = live.start("import time\nprint('busy')\ntime.sleep(600)")
    next(stream)
    assert live.complete("remote_n", 8) is None
    stream.interrupt()
    list(stream)


NVIDIA_SMI = """\
#!/bin/sh
# a stand-in: this machine has no GPU
echo "NVIDIA Stand-in 24 GB, 37, 1024, 24576"
echo "NVIDIA Silent, [N/A], [N/A], [N/A]"
"""


def test_a_glance_tells_of_runs_processor_and_memory(live):
    live.run("held = bytearray(200 << 20); held[:] = b'x' * len(held)")
    said = live.glance()
    assert (said["runs"][0]["status"], said["use"]["gpus"]) == ("ok", [])
    assert 200 << 20 < said["use"]["memory_bytes"] < 2 << 30
    stream = live.start("print('busy', flush=True)\nwhile True: pass")
    next(stream)
    while live.glance()["use"]["cpu_percent"] < 20:
        pass
    assert live.glance()["runs"][0]["seconds"] is None
    stream.interrupt()
    list(stream)


def test_gpus_are_what_nvidia_smi_says(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text(NVIDIA_SMI)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert Gauge().read()["gpus"] == [
        {
            "name": "NVIDIA Stand-in 24 GB",
            "percent": 37,
            "memory_bytes": 1 << 30,
            "memory_total_bytes": 24 << 30,
        }
    ]
    program.write_text("#!/bin/sh\nexit 9\n")
    assert Gauge().read()["gpus"] == []
