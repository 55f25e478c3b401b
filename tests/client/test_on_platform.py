"""The client and the real platform, with and without its capabilities."""

from __future__ import annotations

import contextlib

import pytest

from clouditia_jupyter.client import GPUManager, LiveSession
from clouditia_jupyter.errors import (
    AuthenticationError,
    ConnectionFailedError,
    InsufficientResourcesError,
    InvalidRequestError,
    QueueJobNotFoundError,
    SessionNotFoundError,
)

SMALL = {"vcpu": 1, "ram": 1, "storage": 1, "verbose": False}


def manager_of(running):
    return GPUManager(running.where["api_key"], running.where["computing_url"])


@contextlib.contextmanager
def session_of(running, **options):
    """A session, its manager and its live side; stopped in the end."""
    with manager_of(running) as manager:
        session = manager.create_session("nvidia-rtx-3090", **{**SMALL, **options})
        key = manager.generate_sdk_key(session)
        try:
            with LiveSession(key, running.where["code_editor_url"]) as live:
                yield manager, session, live
        finally:
            manager.stop_session(session, verbose=False)


@pytest.fixture(params=["platform", "stock_platform"])
def any_platform(request):
    return request.getfixturevalue(request.param)


def test_the_main_job(any_platform):
    with session_of(any_platform, cost_limit=5.0) as (manager, session, live):
        assert (session.status, session.ready, session.gpu_count) == ("running", True, 1)
        assert (session.auto_stop_enabled, session.cost_limit) == (True, 5.0)
        assert manager.rename_session(session.short_id, "lab").name == "lab"
        assert session.id in {s.id for s in manager.list_sessions(status="running")}
        assert live.session_id == session.id
        assert live.wait_until_ready()["ready"]
        live.run("x = 20").raise_for_error()
        result = live.run("print('hi')\nx + 1")
        assert (result.result, result.output.split()) == ("21", ["hi", "21"])
        assert live.run("x = 1").output == ""
        failed = live.run("1 / 0")
        assert not failed
        with pytest.raises(ZeroDivisionError):
            failed.raise_for_error()
        assert live.shell("echo $((6 * 7))").output.strip() == "42"
        assert live.shell("exit 3").exit_code == 3
        cost = manager.get_session_cost(session)
        assert cost["short_id"] == session.short_id
        assert cost["hourly_rate"] > 0
        assert manager.get_session_duration(session)["ended_at"] is None
        assert manager.get_sessions_cost([session])["session_count"] == 1
        assert manager.get_active_sessions_cost()["total_cost"] >= 0
        assert manager.get_balance()["balance"] < 100.5
    with manager_of(any_platform) as manager:
        assert manager.get_session(session.short_id).status == "stopped"


def test_offer(any_platform):
    with manager_of(any_platform) as manager:
        offer = {gpu.gpu_type: gpu for gpu in manager.get_inventory()}
        assert offer["nvidia-rtx-3090"].price_per_hour > 0
        assert sum(c.gpu_count for c in manager.list_clusters()) >= 1
        assert manager.user["username"]


def test_what_is_refused(any_platform):
    with manager_of(any_platform) as manager:
        before = len(manager.list_sessions())
        with pytest.raises(InvalidRequestError):
            manager.create_session("nvidia-rtx-9999", **SMALL)
        with pytest.raises(InvalidRequestError, match="2000"):
            manager.create_session("nvidia-rtx-3090", gpu_count=2000, **SMALL)
        for call in (manager.get_session, manager.stop_session, manager.get_session_cost):
            with pytest.raises(SessionNotFoundError):
                call("00000000")
        with pytest.raises(QueueJobNotFoundError):
            manager.get_queue_job("00000000")
        assert len(manager.list_sessions()) == before
    with pytest.raises(AuthenticationError):
        GPUManager("sk_compute_unknown", any_platform.where["computing_url"])
    with (
        LiveSession("sk_live_unknown", any_platform.where["code_editor_url"]) as live,
        pytest.raises(AuthenticationError),
    ):
        live.run("1")


def test_a_place_in_the_queue(any_platform):
    with session_of(any_platform, gpu_count=2) as (manager, _, _):
        with pytest.raises(InsufficientResourcesError, match="queue_if_unavailable"):
            manager.create_session("nvidia-rtx-3090", **SMALL)
        ticket = manager.create_session("nvidia-rtx-3090", queue_if_unavailable=True, **SMALL)
        assert (ticket["queued"], ticket["unavailable_gpus"]) == (True, ["nvidia-rtx-3090"])
        assert manager.get_queue_job(ticket["queue_id"][:8])["job"].vcpu == 1
        assert manager.cancel_queue_job(ticket["queue_id"], verbose=False)
        waiting = {job.queue_id for job in manager.list_queue_jobs(status="pending")}
        assert ticket["queue_id"] not in waiting


def test_streams_interrupts_and_values(any_platform):
    with session_of(any_platform) as (_, _, live):
        stream = live.start("import time\nfor n in range(600):\n print(n)\n time.sleep(0.1)")
        assert next(stream).content["text"].startswith("0\n")
        stream.interrupt()
        *_, error, done = stream
        assert error.content["ename"] == "KeyboardInterrupt"
        assert done.content["status"] == "error"
        again = list(live.attach(stream.run_id))
        assert [event.seq for event in again] == list(range(1, len(again) + 1))
        assert again[-1] == done
        assert stream.run_id in {run["run_id"] for run in live.runs()}
        slow = live.run("time.sleep(60)", timeout=0.3)
        with pytest.raises(TimeoutError):
            slow.raise_for_error()
        live.push("v", [1, {"a": None}])
        assert live.run("v[1]").result == "{'a': None}"
        assert live.pull("v") == [1, {"a": None}]
        live.restart_kernel()
        assert live.run("v").ename == "NameError"


def through_platform_only(monkeypatch):
    monkeypatch.setattr("clouditia_jupyter.client.route.is_loopback", lambda url: False)


def test_everything_also_goes_through_the_platform(platform, monkeypatch):
    through_platform_only(monkeypatch)
    with session_of(platform) as (_, _, live):
        assert live.run("1 + 1").result == "2"
        live.push("v", b"bytes")
        assert live.pull("v") == b"bytes"
        live.restart_kernel()
        assert live.run("2").result == "2"


COUNT = "import time\nfor n in range(40):\n    print(n, flush=True)\n    time.sleep(0.05)"


@pytest.mark.parametrize("through_platform", [False, True])
def test_a_platform_killed_in_mid_cell_loses_no_line(start_platform, monkeypatch, through_platform):
    if through_platform:
        through_platform_only(monkeypatch)
    running = start_platform()
    with session_of(running) as (_, _, live):
        stream = live.start(COUNT)
        texts = [next(stream).content["text"]]
        port = running.where["computing_url"].rsplit(":", 1)[1].split("/")[0]
        running.kill()
        running.start("--port", port)
        texts += [event.content["text"] for event in stream if event.type == "stream"]
        assert "".join(texts).split() == [str(n) for n in range(40)]
        assert live.run("n").result == "39"


def test_a_platform_that_does_not_run(start_platform):
    running = start_platform()
    manager = manager_of(running)
    running.kill()
    with pytest.raises(ConnectionFailedError, match="Nothing answers at"):
        manager.get_balance()
    manager.close()
