"""Creating sessions: what is sent, returned, printed, asked and refused."""

from __future__ import annotations

import builtins
import io
import sys

import pytest

from clouditia_jupyter.errors import (
    InsufficientResourcesError,
    InvalidRequestError,
    QueueJobNotFoundError,
)
from tests.client.conftest import MIXED

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
