"""GPUManager: what it sends, returns, prints, refuses, and never does twice."""

from __future__ import annotations

import builtins
import io
import sys

import httpx
import pytest

from clouditia_jupyter.client import GPUManager
from clouditia_jupyter.errors import (
    APIError,
    AuthenticationError,
    ConfigurationError,
    InsufficientResourcesError,
    InvalidRequestError,
    QueueJobNotFoundError,
    RequestTimeoutError,
    ServiceUnavailableError,
    SessionNotFoundError,
    WaitTimeoutError,
)
from clouditia_jupyter.models import GPUSession

KEY = "sk_compute_0123456789abcdef"
MIXED = [{"type": "nvidia-rtx-3090", "count": 1}, {"type": "nvidia-rtx-4090", "count": 1}]


@pytest.fixture
def manager(service, clock):
    return GPUManager(KEY, http_transport=httpx.MockTransport(service), clock=clock)


@pytest.fixture
def keyed(service, clock):
    service.capabilities = ["idempotency", "wait"]
    return GPUManager(KEY, http_transport=httpx.MockTransport(service), clock=clock)


@pytest.fixture
def one(manager):
    return manager.create_session("nvidia-rtx-3090", verbose=False)


def unavailable(request):
    return httpx.Response(503, text="<html>restarting</html>")


# The key and the address


def test_the_key_is_verified_and_the_user_known(manager, service):
    assert manager.user == {"username": "ada", "email": "ada@example.org"}
    assert service.requests[0].url == "https://clouditia.com/jobs/api/computing/verify/"


def test_settings_come_from_the_environment(service, clock, monkeypatch):
    monkeypatch.setenv("CLOUDITIA_API_KEY", KEY)
    monkeypatch.setenv("CLOUDITIA_BASE_URL", "https://gpu.example.org/jobs/")
    GPUManager(http_transport=httpx.MockTransport(service), clock=clock)
    assert str(service.requests[0].url) == "https://gpu.example.org/jobs/api/computing/verify/"


@pytest.mark.parametrize(
    ("key", "error", "says"),
    [
        ("", ConfigurationError, "CLOUDITIA_API_KEY"),
        ("hello", AuthenticationError, "sk_compute_"),
        ("sk_compute_", AuthenticationError, "malformed"),
        ("sk_compute_a b", AuthenticationError, "malformed"),
        ("sk_compute_é", AuthenticationError, "malformed"),
        ("sk_live_abc", AuthenticationError, "LiveSession"),
        ("sk_compute_revoked", AuthenticationError, "Invalid key"),
    ],
)
def test_a_key_that_cannot_be_used(service, clock, key, error, says):
    with pytest.raises(error, match=says) as caught:
        GPUManager(key, http_transport=httpx.MockTransport(service), clock=clock)
    assert not key.startswith("sk_") or key in ("sk_compute_",) or key not in str(caught.value)


@pytest.mark.parametrize("url", ["clouditia.com/jobs", "ftp://a/b", "https://", "http://a:x/"])
def test_an_address_that_cannot_be_used(url):
    with pytest.raises(ConfigurationError, match="base URL"):
        GPUManager(KEY, url)


def test_neither_key_nor_password_is_ever_shown(manager, service, one, capsys):
    manager.create_session("nvidia-rtx-3090")
    shown = capsys.readouterr().out + repr(manager) + repr(one) + repr(manager._transport)
    service.faults["sessions/"] = [
        lambda request: httpx.Response(400, json={"success": False, "error": f"bad {KEY}"})
    ]
    with pytest.raises(InvalidRequestError) as caught:
        manager.list_sessions()
    shown += str(caught.value)
    assert KEY not in shown
    assert "hunter2" not in shown
    assert one.password == "hunter2-hunter2"


# Creating, printed as documented


def test_create_prints_and_returns_a_ready_session(manager, service, capsys):
    session = manager.create_session("nvidia-rtx-3090", vcpu=2, ram=4, storage=20)
    assert (session.status, session.ready, session.gpu_count) == ("running", True, 1)
    sid = session.short_id
    assert (
        capsys.readouterr().out
        == f"""\
Creating GPU session with nvidia-rtx-3090...
Session created: {sid}
Waiting for session {sid} to be ready... Ready!

==================================================
  SESSION READY
==================================================
  Name     : compute-gpu-{sid}
  Short ID : {sid}
  Status   : running
  GPU      : nvidia-rtx-3090 x1
  vCPU     : 2
  RAM      : 4Gi
  Storage  : 20Gi
  URL      : https://clouditia.com/code-editor/{session.id}/
  Password : ************
==================================================
"""
    )


def test_create_with_several_types_and_limits(manager, capsys):
    gpus = [
        {"type": "nvidia-rtx-3090", "count": 1},
        {"type": "nvidia-rtx-3060ti", "count": 1},
    ]
    session = manager.create_session(gpus=gpus, cost_limit=10.0, duration_limit=3600)
    assert session.gpu_count == 2
    assert (session.auto_stop_enabled, session.cost_limit, session.duration_limit) == (
        True,
        10.0,
        3600,
    )
    out = capsys.readouterr().out
    assert "Creating GPU session with 1x nvidia-rtx-3090, 1x nvidia-rtx-3060ti...\n" in out
    assert (
        """\
  GPUs     : 2 total
           - nvidia-rtx-3090 x1
           - nvidia-rtx-3060ti x1
  vCPU     : 4
  RAM      : 16Gi
  Storage  : 20Gi
  ----------------------------------------------
  AUTO-STOP ENABLED
  Cost Limit     : 10.0 EUR
  Duration Limit : 1h 0m (3600s)
  ----------------------------------------------
  URL      : """
        in out
    )


def test_create_silently_without_waiting(manager, service, capsys):
    session = manager.create_session("nvidia-rtx-3090", wait_ready=False, verbose=False)
    assert session.status == "pending"
    assert service.count("GET", "sessions/status/") == 0
    assert capsys.readouterr().out == ""


def test_progress_is_told_at_every_change(manager, service):
    service.steps = [
        ("creating", "validating"),
        ("creating", "deploying"),
        ("creating", "deploying"),
        ("running", "ready"),
    ]
    seen = []
    manager.create_session(
        "nvidia-rtx-3090",
        verbose=False,
        on_progress=lambda s: seen.append((s.status, s.creation_step)),
    )
    assert seen == [("pending", ""), *dict.fromkeys(service.steps)]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"gpu_type": "a", "gpus": [{"type": "a", "count": 1}]},
        {"gpu_type": ""},
        {"gpu_type": "a", "gpu_count": 0},
        {"gpu_type": "a", "gpu_count": 1.5},
        {"gpu_type": "a", "gpu_count": True},
        {"gpus": []},
        {"gpus": ["a"]},
        {"gpus": [{"type": "a", "count": -1}]},
        {"gpus": [{"slug": "a", "quantity": 1}]},
        {"gpus": [{"type": "a", "count": 1}], "gpu_count": 2},
        {"gpu_type": "a", "vcpu": 0},
        {"gpu_type": "a", "ram": -4},
        {"gpu_type": "a", "storage": "20"},
        {"gpu_type": "a", "cost_limit": -1},
        {"gpu_type": "a", "cost_limit": float("nan")},
        {"gpu_type": "a", "duration_limit": 0},
        {"gpu_type": "a", "timeout": 0},
    ],
)
def test_a_create_that_makes_no_sense_sends_nothing(manager, service, arguments):
    before = len(service.requests)
    with pytest.raises(InvalidRequestError) as caught:
        manager.create_session(**arguments)
    assert str(caught.value).endswith(".")
    assert len(service.requests) == before


def test_calls_with_empty_arguments_send_nothing(manager, service):
    before = len(service.requests)
    for call in (
        lambda: manager.get_session("  "),
        lambda: manager.stop_session(""),
        lambda: manager.rename_session("0e4c713a", " "),
        lambda: manager.rename_session("", "name"),
        lambda: manager.generate_sdk_key("0e4c713a", name=""),
        lambda: manager.get_sessions_cost([]),
        lambda: manager.get_queue_job(""),
        lambda: manager.cancel_queue_job(""),
        lambda: manager.list_sessions(status="runing"),
        lambda: manager.list_queue_jobs(status="open"),
        lambda: manager.add_gpu("0e4c713a", "nvidia-rtx-3090", 0),
    ):
        with pytest.raises(InvalidRequestError):
            call()
    assert len(service.requests) == before


# Part of the GPUs, none of them, the queue


def answering(monkeypatch, text):
    def ask(question):
        sys.stdout.write(question)
        return text

    monkeypatch.setattr(builtins, "input", ask)


def test_the_user_may_go_on_with_what_is_available(manager, monkeypatch, capsys):
    answering(monkeypatch, "y")
    session = manager.create_session(gpus=MIXED)
    assert session.gpu_type == "nvidia-rtx-3090"
    assert session.unavailable_gpus == ["nvidia-rtx-4090"]
    assert (
        """
==================================================
  GPU AVAILABILITY CHECK
==================================================
  Unavailable GPUs:
    - nvidia-rtx-4090
  Available GPUs:
    - nvidia-rtx-3090
==================================================
Continue with 1 available GPU(s)? [y/N]: """
        in capsys.readouterr().out
    )


def ask_raises(error):
    def ask(question):
        raise error

    return ask


@pytest.mark.parametrize(
    "ask",
    [lambda question: "n", lambda question: "", ask_raises(EOFError), ask_raises(RuntimeError)],
)
def test_no_answer_is_no(manager, service, monkeypatch, ask):
    monkeypatch.setattr(builtins, "input", ask)
    with pytest.raises(InsufficientResourcesError) as caught:
        manager.create_session(gpus=MIXED)
    assert "allow_partial=True" in str(caught.value)
    assert "queue_if_unavailable=True" in str(caught.value)
    assert caught.value.available_gpus == ["nvidia-rtx-3090"]
    assert service.sessions == {}


def test_a_pipe_that_nobody_writes_to_is_not_asked(manager, monkeypatch):
    class Pipe(io.StringIO):
        def read(self, *args):
            raise AssertionError("waited for an answer")

        readline = read

    monkeypatch.setattr(sys, "stdin", Pipe())
    with pytest.raises(InsufficientResourcesError):
        manager.create_session(gpus=MIXED)


def test_silent_creation_does_not_ask(manager, monkeypatch, capsys):
    answering(monkeypatch, "y")
    with pytest.raises(InsufficientResourcesError):
        manager.create_session(gpus=MIXED, verbose=False)
    assert capsys.readouterr().out == ""


def test_allow_partial_does_not_ask(manager):
    session = manager.create_session(gpus=MIXED, allow_partial=True, verbose=False)
    assert session.gpu_type == "nvidia-rtx-3090"


def test_none_available(manager):
    with pytest.raises(InsufficientResourcesError, match=r"nvidia-rtx-4090.*queue_if_unavailable"):
        manager.create_session("nvidia-rtx-4090", verbose=False)


def test_a_queued_request_is_a_dict_and_a_banner(manager, capsys):
    ticket = manager.create_session("nvidia-rtx-4090", queue_if_unavailable=True)
    assert ticket["queued"] is True
    assert ticket["position"] == 1
    assert set(ticket) == {
        "queued",
        "queue_id",
        "position",
        "message",
        "unavailable_gpus",
        "available_gpus",
    }
    short = ticket["queue_id"][:8]
    assert (
        capsys.readouterr().out.split("...\n", 1)[1]
        == f"""
==================================================
  REQUEST QUEUED
==================================================
  Queue ID  : {short}...
  Position  : #1
  Message   : Aucun GPU disponible. Votre demande a été ajoutée à la queue.
  Unavailable GPUs: nvidia-rtx-4090
==================================================

Use manager.get_queue_job('{short}') to check status
Use manager.cancel_queue_job('{short}') to cancel
"""
    )


def test_a_ticket_with_its_attempts(manager, capsys):
    ticket = manager.create_session("nvidia-rtx-4090", queue_if_unavailable=True, verbose=False)
    result = manager.get_queue_job(ticket["queue_id"][:8])
    assert capsys.readouterr().out == ""
    assert result["job"].position == 1
    assert result["attempts_count"] == len(result["attempts"]) == 1
    assert result["attempts"][0].attempted_at.year == 2026
    manager.get_queue_job(ticket["queue_id"], verbose=True)
    assert "none free" in capsys.readouterr().out
    assert [job.queue_id for job in manager.list_queue_jobs()] == [ticket["queue_id"]]
    assert manager.cancel_queue_job(ticket["queue_id"]) is True
    short = ticket["queue_id"][:8]
    assert capsys.readouterr().out == f"Queue job {short}... cancelled successfully\n"
    for call in (manager.get_queue_job, manager.cancel_queue_job):
        with pytest.raises(QueueJobNotFoundError):
            call("nothing!")


# Never twice


def test_a_create_whose_answer_is_lost_is_found_again(manager, service, clock):
    manager.create_session("nvidia-rtx-3090", verbose=False)
    service.faults["sessions/create/"] = [service.drop]
    session = manager.create_session("nvidia-rtx-3090", verbose=False)
    assert len(service.sessions) == 2
    assert session.id == list(service.sessions)[-1]
    assert service.count("POST", "sessions/create/") == 2


def test_a_session_that_shows_up_late_is_waited_for(manager, service, clock):
    def lost(request):
        late = len(service.sessions)

        def listed(request):
            if clock.now < 5 and late == 0:
                return httpx.Response(200, json={"sessions": []})
            return None

        service.faults["sessions/"] = [listed, listed]
        return service.drop(request)

    service.faults["sessions/create/"] = [lost]
    session = manager.create_session("nvidia-rtx-3090", wait_ready=False, verbose=False)
    assert list(service.sessions) == [session.id]


@pytest.mark.parametrize("broken", [503, 502, 500, "timeout"])
def test_a_create_that_came_to_nothing_is_not_sent_again(manager, service, broken):
    def fail(request):
        if broken == "timeout":
            raise httpx.ReadTimeout("lost")
        return httpx.Response(broken, json={"success": False, "error": "oops"})

    service.faults["sessions/create/"] = [fail]
    with pytest.raises(RequestTimeoutError, match="list_sessions"):
        manager.create_session("nvidia-rtx-3090", verbose=False)
    assert service.count("POST", "sessions/create/") == 1
    assert service.sessions == {}


def test_other_new_sessions_are_not_mistaken_for_ours(manager, service):
    def elsewhere(request):
        body = {"vcpu": 2, "ram": 8, "storage": 20, "gpu_type": "nvidia-rtx-3060ti"}
        defaults = {"gpu_count": 1, "allow_partial": False, "queue_if_unavailable": False}
        service.post_sessions_create({**body, **defaults}, request)
        raise httpx.ReadError("gone")

    service.faults["sessions/create/"] = [elsewhere]
    with pytest.raises(RequestTimeoutError):
        manager.create_session("nvidia-rtx-3090", verbose=False)


def test_two_new_sessions_that_fit_are_left_to_the_user(manager, service):
    def twice(request):
        service.answer(request)
        return service.drop(request)

    service.faults["sessions/create/"] = [twice]
    with pytest.raises(RequestTimeoutError, match="2 new sessions"):
        manager.create_session("nvidia-rtx-3090", verbose=False)


def test_a_lost_ticket_is_found_again(manager, service):
    service.faults["sessions/create/"] = [service.drop]
    ticket = manager.create_session("nvidia-rtx-4090", queue_if_unavailable=True, verbose=False)
    assert ticket["queue_id"] in service.tickets
    assert len(service.tickets) == 1


def test_a_create_that_never_left_is_sent_again(manager, service):
    def refused(request):
        raise httpx.ConnectError("refused")

    service.faults["sessions/create/"] = [refused, refused]
    manager.create_session("nvidia-rtx-3090", verbose=False)
    assert len(service.sessions) == 1


def test_with_keys_a_lost_create_is_sent_again_and_made_once(keyed, service):
    service.faults["sessions/create/"] = [service.drop, service.drop, unavailable]
    session = keyed.create_session("nvidia-rtx-3090", verbose=False)
    assert list(service.sessions) == [session.id]
    creates = [r for r in service.requests if r.url.path.endswith("/create/")]
    assert len(creates) == 4
    assert len({r.headers["idempotency-key"] for r in creates}) == 1
    assert service.count("GET", "sessions/") == 0


def test_each_create_has_a_key_of_its_own(keyed, service):
    keyed.create_session("nvidia-rtx-3090", verbose=False)
    keyed.create_session("nvidia-rtx-3090", verbose=False)
    assert len(service.sessions) == 2


# Waiting


def test_a_wait_that_is_too_long_says_what_goes_on(manager, service, clock, capsys):
    service.steps = [("creating", "deploying")]
    with pytest.raises(WaitTimeoutError) as caught:
        manager.create_session("nvidia-rtx-3090", timeout=60)
    (session,) = service.sessions.values()
    assert f"stop_session('{session['id'][:8]}')" in str(caught.value)
    assert "bills" in str(caught.value)
    assert "creating:deploying" in str(caught.value)
    assert 60 <= clock.now < 64
    assert "to be ready... Timeout!" in capsys.readouterr().out


def test_a_creation_that_fails_gives_the_reason(manager, service):
    service.steps = [("creating", "validating"), ("failed", "error")]

    def create(request):
        answer = service.answer(request)
        next(iter(service.sessions.values()))["creation_error"] = "no node came up"
        return answer

    service.faults["sessions/create/"] = [create]
    with pytest.raises(APIError, match="no node came up"):
        manager.create_session("nvidia-rtx-3090", verbose=False)


def test_an_interrupted_wait_leaves_the_id_behind(manager, service, capsys):
    def interrupt(request):
        raise KeyboardInterrupt

    service.faults["sessions/status/"] = [interrupt]
    with pytest.raises(KeyboardInterrupt) as caught:
        manager.create_session("nvidia-rtx-3090")
    short = next(iter(service.sessions))[:8]
    assert f"stop_session('{short}')" in capsys.readouterr().out
    told = getattr(caught.value, "__notes__", None) or caught.value.args
    assert short in told[0]


def test_long_polls_where_the_service_has_them(keyed, service, clock):
    service.steps = [("creating", "queued"), ("creating", "deploying"), ("running", "ready")]
    keyed.create_session("nvidia-rtx-3090", verbose=False)
    polls = [dict(r.url.params) for r in service.requests if r.url.path.endswith("/status/")]
    assert [poll.get("seen") for poll in polls] == [None, "creating:queued", "creating:deploying"]
    assert all(0 < float(poll["wait"]) <= 20 for poll in polls[1:])
    assert clock.slept == []


def test_pauses_grow_where_it_has_not(manager, service, clock):
    service.steps = [("creating", "deploying")] * 12 + [("running", "ready")]
    manager.create_session("nvidia-rtx-3090", verbose=False)
    polls = [r for r in service.requests if r.url.path.endswith("/status/")]
    assert all(set(r.url.params) == {"session_id"} for r in polls)
    assert clock.slept[0] == 0.2
    assert clock.slept == sorted(clock.slept)
    assert max(clock.slept) <= 3.0


# Stopping, renaming, looking


def test_stop_prints_and_returns_a_stopped_session(manager, one, capsys):
    manager.rename_session(one.short_id, "mon-projet-ml-v1")
    session = manager.stop_session(one.short_id)
    assert session.status == "stopped"
    assert (
        capsys.readouterr().out
        == f"""\
Stopping session {one.short_id}...
Waiting for pod termination... Done!

==================================================
  SESSION STOPPED
==================================================
  Name     : mon-projet-ml-v1
  Short ID : {one.short_id}
  Status   : stopped
  GPU      : nvidia-rtx-3090 (released)
==================================================
"""
    )


def test_a_session_forgotten_while_it_stops_is_stopped(manager, service, one):
    def stop(request):
        answer = service.answer(request)
        service.sessions.clear()
        return answer

    service.faults["sessions/stop/"] = [stop]
    session = manager.stop_session(one, verbose=False)
    assert (session.id, session.status, session.ready) == (one.id, "stopped", False)


def test_a_stop_whose_answer_is_lost_is_sent_again(manager, service, one):
    service.faults["sessions/stop/"] = [service.drop]
    assert manager.stop_session(one.id, verbose=False).status == "stopped"
    assert service.count("POST", "sessions/stop/") == 2


def test_stopping_twice_is_no_error(manager, service, one):
    manager.stop_session(one.id, verbose=False)
    assert manager.stop_session(one.id, verbose=False).status == "stopped"
    assert service.count("POST", "sessions/stop/") == 1


def test_stop_without_waiting(manager, one, capsys):
    session = manager.stop_session(one.id, wait_stopped=False, verbose=False)
    assert session.status in ("stopping", "stopped")
    assert capsys.readouterr().out == ""


def test_a_stop_that_takes_too_long(manager, service, one):
    service.faults["sessions/stop/"] = [lambda r: httpx.Response(200, json={"success": True})]
    with pytest.raises(WaitTimeoutError, match="may still bill"):
        manager.stop_session(one.id, timeout=30, verbose=False)


def test_what_does_not_exist(manager):
    for call in (
        manager.get_session,
        manager.stop_session,
        manager.pause_session,
        lambda sid: manager.rename_session(sid, "x"),
    ):
        with pytest.raises(SessionNotFoundError):
            call("00000000")


def test_sessions_are_given_by_id_short_id_or_object(manager, one):
    for sid in (one.id, one.short_id, one):
        assert manager.get_session(sid).id == one.id
    assert isinstance(one, GPUSession)


def test_pause_returns_the_session_on_its_way(manager, one):
    assert manager.pause_session(one.short_id).status == "pausing"


def test_list_and_rename(manager, one):
    assert [session.id for session in manager.list_sessions()] == [one.id]
    assert manager.list_sessions(status="stopped") == []
    assert manager.rename_session(one, " lab ").name == "lab"


def test_a_service_that_restarts_is_waited_for(manager, service, clock):
    service.faults["sessions/"] = [unavailable, unavailable]
    assert manager.list_sessions() == []
    assert clock.slept == [2.0, 5.0]
    service.faults["sessions/"] = [unavailable] * 9
    with pytest.raises(ServiceUnavailableError, match="web page"):
        manager.list_sessions()
    assert clock.slept[2:] == [2.0, 5.0, 10.0]


def test_retry_after_is_honoured(manager, service, clock):
    busy = httpx.Response(429, json={"error": "slow down"}, headers={"Retry-After": "7"})
    service.faults["sessions/"] = [lambda request: busy]
    manager.list_sessions()
    assert clock.slept == [7.0]
