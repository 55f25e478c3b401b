"""Creating sessions where answers get lost or take long: never twice, and never in silence."""

from __future__ import annotations

import httpx
import pytest

from clouditia_jupyter.errors import (
    APIError,
    RequestTimeoutError,
    WaitTimeoutError,
)
from tests.client.conftest import unavailable

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
