"""GPUManager: its key and address, and what it does with sessions that are there."""

from __future__ import annotations

import httpx
import pytest

from clouditia_jupyter.client import GPUManager
from clouditia_jupyter.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidRequestError,
    ServiceUnavailableError,
    SessionNotFoundError,
    WaitTimeoutError,
)
from clouditia_jupyter.models import GPUSession
from tests.client.conftest import unavailable
from tests.client.seeming_service import ACCOUNT_KEY

# The key and the address


def test_the_key_is_verified_and_the_user_known(manager, service):
    assert manager.user == {"username": "ada", "email": "ada@example.org"}
    assert service.requests[0].url == "https://clouditia.com/jobs/api/computing/verify/"


def test_settings_come_from_the_environment(service, clock, monkeypatch):
    monkeypatch.setenv("CLOUDITIA_API_KEY", ACCOUNT_KEY)
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
        GPUManager(ACCOUNT_KEY, url)


def test_neither_key_nor_password_is_ever_shown(manager, service, one, capsys):
    manager.create_session("nvidia-rtx-3090")
    shown = capsys.readouterr().out + repr(manager) + repr(one) + repr(manager._transport)
    service.faults["sessions/"] = [
        lambda request: httpx.Response(400, json={"success": False, "error": f"bad {ACCOUNT_KEY}"})
    ]
    with pytest.raises(InvalidRequestError) as caught:
        manager.list_sessions()
    shown += str(caught.value)
    assert ACCOUNT_KEY not in shown
    assert "hunter2" not in shown
    assert one.password == "hunter2-hunter2"


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
