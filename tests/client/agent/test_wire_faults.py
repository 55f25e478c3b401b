"""What a proxy and a service between client and agent can do: cut, refuse, clip, repeat, forget."""

from __future__ import annotations

import ast
import json
import random
import uuid

import httpx
import pytest

from clouditia_jupyter.client import LiveSession, events
from clouditia_jupyter.errors import ClouditiaError, ConnectionFailedError, SessionLostError
from tests.client.agent.conftest import EXEC, text

PAGE = "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"


class Troubled(httpx.BaseTransport):
    """The network, where each execution meets what ``troubles`` says next.

    ``cut``: executed, and the answer is lost. ``page``: a web page instead, executed before or
    not. ``silent``: executed, and the output withheld. ``clip``: its end is missing. ``twice``:
    executed two times.
    """

    def __init__(self):
        self.network = httpx.HTTPTransport(trust_env=False)
        self.troubles = iter(())
        self.met = []

    def handle_request(self, request):
        body = request.read()
        trouble = ""
        if request.url.path.endswith(EXEC) and b"exchange(" in body:
            trouble = next(self.troubles, "")
            self.met.append(trouble)
        if trouble == "refuse":
            return httpx.Response(502, content=PAGE)
        response = self.network.handle_request(request)
        answer = response.read()
        if trouble == "twice":
            answer = self.network.handle_request(request).read()
        elif trouble == "cut":
            raise httpx.ReadError("cut")
        elif trouble == "page":
            return httpx.Response(503, content=PAGE)
        elif trouble == "server error":
            return httpx.Response(500, content=b"")
        elif trouble in ("silent", "clip"):
            facts = json.loads(answer)
            said = facts["output"]
            facts["output"] = "(Aucune sortie)" if trouble == "silent" else said[: len(said) // 2]
            return httpx.Response(200, json=facts)
        return httpx.Response(response.status_code, content=answer)

    def close(self):
        self.network.close()


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(events, "RESUME_PAUSES", (0.001,) * 30)
    made = Troubled()
    yield made
    made.close()


@pytest.fixture
def troubled(session, network):
    with LiveSession(*session, http_transport=network) as live:
        live.restart_kernel()
        yield live


@pytest.mark.parametrize(
    "trouble", ["cut", "refuse", "page", "server error", "silent", "clip", "twice"]
)
def test_a_cell_runs_once_and_is_shown_once(troubled, network, trouble):
    troubled.run("count = 0")
    network.troubles = iter([trouble, "", trouble, trouble, ""])
    code = "count += 1\nfor n in range(100):\n    print(n)\n    time.sleep(0.005)"
    seen = list(troubled.start(f"import time\n{code}"))
    assert [e.seq for e in seen] == list(range(1, len(seen) + 1))
    assert text(seen).split() == [str(n) for n in range(100)]
    network.troubles = iter(())
    assert troubled.run("count").result == "1"
    assert trouble in network.met


def test_any_mixture_of_troubles(troubled, network):
    rng = random.Random("mixture")
    kinds = ["cut", "refuse", "page", "server error", "silent", "clip", "twice", "", "", "", "", ""]
    troubled.run("count = 0")
    network.troubles = iter(lambda: rng.choice(kinds), None)
    for turn in range(1, 11):
        seen = list(troubled.start(f"count += 1\nfor n in range(50): print(n, {turn})\ncount"))
        assert text(seen) == "".join(f"{n} {turn}\n" for n in range(50))
        (result,) = [e.content for e in seen if e.type == "execute_result"]
        assert result["data"]["text/plain"] == str(turn)


def test_what_is_never_answered_is_said_with_the_next_step(troubled, network, monkeypatch):
    monkeypatch.setattr(events, "RESUME_PAUSES", (0.001,) * 2)
    troubled.run("1")
    network.troubles = iter(lambda: "silent", None)
    with pytest.raises(ConnectionFailedError, match=r"attach\("):
        list(troubled.start("2"))


def test_an_answer_that_is_none_of_the_agent_s(session, network):
    words = [
        "'{nothing}'",
        "'[1, 2]'",
        '\'{"status": "200"}\'',
        '\'{"status": 200, "position": "0", "end": 1}\'',
    ]
    for word in words:
        with LiveSession(*session, http_transport=network) as live:
            live.run("1")
            line = live._route._agent._resource._lines._lines[0]
            code = (
                "import sys, types, base64\nrelay = sys.modules['clouditia_agent.relay']\n"
                "def exchange(marker, request):\n"
                f"    said = base64.b64encode(b'p' + str({word}).encode() + b'\\n').decode()\n"
                "    print(f'{marker}:{said}:{marker}')\nrelay.exchange = exchange"
            )
            assert line._execute(code, 30, 30, again=True)["success"]
            # asked by another way, or refused; nothing else comes of it
            try:
                assert live.run("2").result == "2"
            except ClouditiaError as error:
                assert "what no agent says" in str(error)


def test_a_pod_that_was_restarted_is_said_and_nothing_runs_again(session, troubled, network):
    troubled.run("x = 1\nimport pathlib, time")
    marker = f"ran-{uuid.uuid4().hex}"
    stream = troubled.start(
        f"open({marker!r}, 'a').write('once ')\nprint('begun')\ntime.sleep(600)"
    )
    next(stream)
    # all that lives in the session ends, the agent too
    with LiveSession(*session) as other:
        names = [line.name for line in troubled._route._agent._resource._lines._lines]
        home = troubled._route._agent._resource._lines._home
        for name in {*names, home}:
            other._route.platform.call(
                "POST", "/api/session/stop/", json={"persistent_id": name}, idempotent=True
            )
    with pytest.raises(SessionLostError, match="variables are gone; the next run starts afresh"):
        list(stream)
    assert troubled.run("x").ename == "NameError"
    assert troubled.run(f"print(open({marker!r}).read())").output == "once \n"


def test_whoever_types_does_not_hide_that_the_agent_is_gone(troubled):
    troubled.run("import os, signal\nx = 1")
    with pytest.raises(ClouditiaError):
        troubled.run("os.kill(os.getppid(), signal.SIGKILL)").raise_for_error()
    troubled.run("x = 1\nimport os, signal, threading")
    troubled.run("threading.Timer(0.1, os.kill, (os.getppid(), signal.SIGKILL)).start()")
    answer = {"matches": []}
    while answer is not None:
        answer = troubled.complete("x", 1)
    assert troubled.complete("x", 1) is None
    with pytest.raises(SessionLostError, match="variables are gone"):
        troubled.run("x")


def test_agents_of_two_versions_share_a_session(session, troubled, monkeypatch):
    from clouditia_jupyter.client.agent import line
    from clouditia_jupyter.client.agent.bundle import Bundle, bundle

    troubled.run("x = 'shared'")
    data = bundle().data
    other = Bundle(data, "agent-0123456789abcdef.zip")
    monkeypatch.setattr(line, "bundle", lambda: other)
    with LiveSession(*session) as newer:
        assert newer.run("x").result == "'shared'"
        newer.run("y = 2")
    assert troubled.run("y").result == "2"


def test_thousands_of_requests_leave_nothing_behind(troubled):
    troubled.run("1")
    (line,) = troubled._route._agent._resource._lines._lines
    kept = (
        "import linecache\nshell = get_ipython()\nhistory = shell.history_manager\n"
        "sum(map(len, (*history.input_hist_raw, *history.input_hist_parsed))), "
        "len(linecache.cache), len(shell.user_ns), len(shell.compile._filename_map), "
        "len(history.db_input_cache)"
    )
    line._execute(kept, 30, 30, again=True)
    troubled.runs()  # which clears up what that left
    before = line._execute(kept, 30, 30, again=True)["result"]
    for _ in range(100):
        troubled.runs()
    after = line._execute(kept, 30, 30, again=True)["result"]
    for less, more in zip(ast.literal_eval(after), ast.literal_eval(before), strict=True):
        assert less <= more + 2, (before, after)  # of 100
