"""LiveSession: results, both ways to the pod, the stock service, variables."""

from __future__ import annotations

import json

import httpx
import pytest

from clouditia_jupyter.client import LiveSession
from clouditia_jupyter.client.results import RunResult, fold
from clouditia_jupyter.errors import (
    APIError,
    AuthenticationError,
    CommandBlockedError,
    InvalidRequestError,
    SessionLostError,
    SessionStateError,
    UnsupportedError,
    WaitTimeoutError,
)
from clouditia_jupyter.models import Event

KEY = "sk_live_0123456789abcdef"


@pytest.fixture
def live(pod, clock):
    with LiveSession(KEY, pod.url, clock=clock) as session:
        yield session


def events(*items, status="ok"):
    done = ("done", {"status": status, "execution_count": 1, "seconds": 0.5})
    return [Event(seq=n, type=t, content=c) for n, (t, c) in enumerate([*items, done], 1)]


def stream(text, name="stdout"):
    return "stream", {"name": name, "text": text}


# Folding


def test_prints_then_the_last_expression():
    result = fold(
        events(
            stream("a\n"),
            stream("careful\n", "stderr"),
            ("execute_result", {"data": {"text/plain": "2"}, "metadata": {}}),
        )
    )
    assert str(result) == result.output == "a\n2"
    assert (result.result, result.stderr, result.seconds) == ("2", "careful\n", 0.5)
    assert (result.success, result.exit_code, bool(result)) == (True, 0, True)
    assert result.raise_for_error() is result


def test_displays_are_kept_as_they_ended():
    shown = {"data": {"text/plain": "0 %"}, "transient": {"display_id": "bar"}}
    updated = {"data": {"text/plain": "100 %"}, "transient": {"display_id": "bar"}}
    result = fold(events(("display_data", shown), ("update_display_data", updated)))
    assert result.display_data == [{"text/plain": "100 %"}]
    cleared = fold(events(stream("a"), ("display_data", shown), ("clear_output", {}), stream("b")))
    assert (cleared.output, cleared.display_data) == ("b", [])


def test_a_failure_is_a_result_that_can_be_raised():
    error = {"ename": "ValueError", "evalue": "bad", "traceback": ["frames"]}
    result = fold(events(stream("a\n"), ("error", error), status="error"))
    assert (result.success, result.exit_code, result.error) == (False, 1, "ValueError: bad")
    assert result.output == "a\n"
    with pytest.raises(ValueError, match="bad"):
        result.raise_for_error()


def test_a_lost_kernel_is_no_ordinary_failure():
    result = fold(events(status="lost"))
    assert not result
    with pytest.raises(SessionLostError, match="variables are gone"):
        result.raise_for_error()


# The key and the session


@pytest.mark.parametrize("key", ["", "nonsense", "sk_live_", "sk_compute_abc"])
def test_a_key_that_cannot_be_a_session_s(key):
    with pytest.raises(AuthenticationError):
        LiveSession(key)


def test_who_it_is(pod, live):
    assert repr(live) == f"LiveSession('{pod.url}')"
    assert live.session_name == "lab"
    assert live.session_id == "s" * 36
    assert live.is_ready()
    assert pod.requests == ["GET /api/verify/"] * 2
    assert KEY not in repr(live)


def test_the_pod_s_token_stays_inside(pod, live, make_pod):
    pod.direct = {"url": make_pod().url, "token": "secret"}
    assert "secret" not in json.dumps(live.verify()) + repr(live)


def test_waiting_until_ready(clock):
    polls = []

    def answer(request):
        polls.append(request)
        status = "creating" if len(polls) < 5 else "running"
        return httpx.Response(200, json={"session_id": "s", "status": status})

    live = LiveSession(KEY, http_transport=httpx.MockTransport(answer), clock=clock)
    assert live.wait_until_ready()["status"] == "running"
    assert len(polls) == 5
    assert len(clock.slept) == 4


def test_waiting_for_what_never_comes(clock):
    status = "creating"

    def answer(request):
        return httpx.Response(200, json={"session_id": "s", "status": status})

    live = LiveSession(KEY, http_transport=httpx.MockTransport(answer), clock=clock)
    with pytest.raises(WaitTimeoutError, match="bills"):
        live.wait_until_ready(timeout=30)
    status = "failed"
    with pytest.raises(SessionStateError, match="failed"):
        live.wait_until_ready()


# Both ways to the pod


@pytest.fixture
def direct(pod, make_pod):
    other = make_pod()
    other.prints("straight")
    pod.prints("proxied")
    pod.direct = {"url": other.url, "token": "t"}
    return other


def test_runs_go_straight_to_the_pod(pod, direct, live):
    assert str(live.run("x")) == "straight"
    assert pod.requests == ["GET /api/verify/"]


def test_a_pod_that_is_not_there_is_reached_through_the_platform(pod, direct, live):
    assert str(live.run("x")) == "straight"
    direct.close()
    assert str(live.run("x")) == "proxied"
    assert live.runs()
    assert str(live.run("x")) == "proxied"


def test_calls_take_the_other_way_too(pod, direct, live):
    live.verify()
    direct.close()
    assert live.runs() == []
    assert pod.requests[-1] == "GET /api/runs/"


def test_a_stranger_at_the_pod_s_address_is_left(pod, direct, live):
    direct.answers["/api/runs/"] = (401, {"success": False, "error": "who are you"})
    assert str(live.run("x")) == "proxied"


def test_a_pod_whose_platform_is_away_is_still_reached(pod, direct, live):
    direct.prints("a", "b")
    direct.faults = [1, "refuse"]
    run = live.start("x")
    pod.close()
    assert [e.content["text"] for e in run if e.type == "stream"] == ["a", "b"]


def test_an_offer_from_afar_is_not_followed(clock):
    offer = {"url": "http://127.0.0.1:9", "token": "t"}
    asked = []

    def answer(request):
        asked.append(str(request.url))
        return httpx.Response(
            200, json={"session_id": "s", "capabilities": ["runs"], "direct": offer, "runs": []}
        )

    live = LiveSession(KEY, http_transport=httpx.MockTransport(answer), clock=clock)
    live.runs()
    assert asked[-1] == "https://clouditia.com/code-editor/api/runs/"


def test_a_run_that_takes_too_long_is_interrupted(pod, live):
    pod.prints("a", status="error")
    pod.hold_until_interrupted = True
    result = live.run("x", timeout=0.05)
    assert pod.interrupted.is_set()
    assert result.output == "a"
    assert result.error.startswith("TimeoutError: ")
    with pytest.raises(TimeoutError, match="allow it more"):
        result.raise_for_error()


def test_an_interrupted_run_is_interrupted_remotely(pod, live, monkeypatch):
    def interrupted(events, run_id):
        next(events)
        raise KeyboardInterrupt

    pod.prints("a")
    monkeypatch.setattr("clouditia_jupyter.client.timed.fold", interrupted)
    with pytest.raises(KeyboardInterrupt):
        live.run("x")
    assert pod.interrupted.is_set()


def test_restart(pod, live):
    live.restart_kernel()
    assert pod.requests[-1] == "POST /api/kernel/restart/"


# Variables


def test_values_cross_as_bytes(pod, live):
    value = {"a": list(range(300_000))}  # more than one piece
    live.push("data", value)
    assert live.pull("data") == value
    assert b'["data","json"]' in pod.bound.replace(b", ", b",")
    for name in ("", "a b", "a/b", "1"):
        with pytest.raises(InvalidRequestError):
            live.push(name, 1)
        with pytest.raises(InvalidRequestError):
            live.pull(name)


# The stock service


@pytest.fixture
def stock(pod, live):
    """A stock service that keeps no Python between two requests."""
    pod.capabilities = []
    pod.answers["/api/session/start/"] = (404, {"success": False, "error": "no such page"})
    return pod


def test_without_namespaces_each_piece_runs_by_itself(stock, live):
    answer = {"success": True, "output": "hi\n", "result": None, "error": "", "exit_code": 0}
    stock.answers["/api/execute/"] = (200, answer)
    assert live.run("print('hi')", timeout=5) == RunResult(output="hi\n")
    assert stock.sent[-1] == {"code": "print('hi')"}


def test_nothing_said_in_french(stock, live):
    answer = {"success": True, "output": "(Aucune sortie)", "result": None}
    stock.answers["/api/execute/"] = (200, answer)
    assert live.run("x = 1").output == ""


def test_failures_of_isolated_code_are_results(stock, live):
    text = "Traceback (most recent call last):\n  ...\nValueError: bad"
    stock.answers["/api/execute/"] = (200, {"success": False, "error": text, "output": "a"})
    result = live.run("boom")
    assert (result.success, result.exit_code, result.output) == (False, 1, "a")
    assert (result.ename, result.evalue) == ("ValueError", "bad")
    with pytest.raises(ValueError, match="bad"):
        result.raise_for_error()


def test_without_namespaces_there_are_no_streams(stock, live):
    for call in (lambda: live.start("x"), live.runs, live.restart_kernel):
        with pytest.raises(UnsupportedError, match=r"run\(code\)"):
            call()


def test_a_namespace_that_takes_no_agent_is_said(stock, live):
    stock.answers["/api/session/start/"] = (200, {"success": True, "persistent_id": "p1"})
    refused = {"success": False, "output": "", "error": "OSError: read-only file system"}
    stock.answers["/api/session/exec/"] = (200, refused)
    with pytest.raises(APIError, match="read-only file system"):
        live.run("x")  # by itself it would run, without the variables of earlier cells


def test_shell(stock, live):
    answer = {"success": False, "output": "", "error": "no such file", "exit_code": 2}
    stock.answers["/api/shell/"] = (200, answer)
    result = live.shell("ls /nowhere")
    assert (result.success, result.exit_code, result.error) == (False, 2, "no such file")
    blocked = {"error": "Command not permitted", "reason": "rm -rf /"}
    stock.answers["/api/shell/"] = (403, blocked)
    with pytest.raises(CommandBlockedError, match="rm -rf"):
        live.shell("rm -rf /")
    with pytest.raises(InvalidRequestError):
        live.shell(" ")
