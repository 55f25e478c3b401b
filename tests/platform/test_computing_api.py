"""The computing API of a real platform, over HTTP."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clouditia_jupyter.models import GPUInventory, GPUSession, QueueAttempt, QueueJob, decode
from tests.running import RunningPlatform

Start = Callable[..., RunningPlatform]
A, B = "nvidia-rtx-3090", "nvidia-rtx-4090"


@pytest.fixture(scope="module")
def session(platform: RunningPlatform) -> Iterator[dict[str, Any]]:
    """Return a session that runs while this file's tests do."""
    made = platform.create(gpu_type=A, vcpu=2, ram=3, storage=7, cost_limit=5, duration_limit=3600)
    yield made
    platform.stop_session(made["id"])


def get(platform: RunningPlatform, path: str, **params: Any) -> dict[str, Any]:
    answer = platform.computing.get(path, params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def post(platform: RunningPlatform, path: str, **body: Any) -> dict[str, Any]:
    answer = platform.computing.post(path, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def refused(platform: RunningPlatform, path: str, status: int, **body: Any) -> dict[str, Any]:
    answer = platform.computing.post(path, json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    assert found["success"] is False
    return found


def test_verify_says_who_and_what_it_can(platform: RunningPlatform) -> None:
    found = get(platform, "verify/")
    assert found["valid"] is True
    assert set(found["user"]) == {"username", "email"}
    assert found["capabilities"] == ["idempotency", "wait", "overview", "runs"]


def test_the_stock_service_has_no_capabilities(stock_platform: RunningPlatform) -> None:
    assert "capabilities" not in get(stock_platform, "verify/")


def test_the_inventory_has_the_four_types(platform: RunningPlatform) -> None:
    items = [decode(GPUInventory, item) for item in get(platform, "inventory/")["inventory"]]
    assert {item.gpu_type: item.price_per_hour for item in items}[A] == 0.98
    assert len(items) == 4
    for item in items:
        assert "(simulated)" in item.gpu_name
        assert item.available + item.in_use == item.total


def test_the_inventory_is_of_one_cluster(platform: RunningPlatform) -> None:
    (cluster,) = get(platform, "clusters/")["clusters"]
    assert cluster["is_primary"] is True
    assert cluster["gpu_count"] == 8
    assert len(get(platform, "inventory/", cluster_id=cluster["cluster_id"])["inventory"]) == 4
    answer = platform.computing.get("inventory/", params={"cluster_id": "moon"})
    assert answer.status_code == 400


def test_a_session_has_every_field_of_the_wire(
    platform: RunningPlatform, session: dict[str, Any]
) -> None:
    assert set(session) == {
        *("id", "name", "status", "gpu_type", "gpu_count", "gpus", "vcpu", "ram", "storage"),
        *("vscode_port", "jupyter_port", "password", "url", "created_at", "started_at", "limits"),
        *("ready", "estimated_ready_in_seconds", "workspace_sync", "creation_step"),
        *("creation_error", "environment_id"),
        *("hourly_rate", "cost", "ended_at", "stop_reason", "clock_rate"),
    }
    assert session["name"] == f"compute-gpu-{session['id'][:8]}"
    assert uuid.UUID(session["id"])
    assert (session["vcpu"], session["ram"], session["storage"]) == (2, "3Gi", "7Gi")
    assert session["gpus"] == [{"slug": A, "quantity": 1}]
    assert session["limits"] == {
        "cost_limit": 5.0,
        "duration_limit": 3600,
        "auto_stop_enabled": True,
    }
    assert session["hourly_rate"] == 0.98
    assert session["ready"] is True
    assert session["url"].startswith(platform.where["code_editor_url"])
    assert len(session["password"]) == 12
    assert GPUSession.from_wire(session).cost_limit == 5.0


def test_what_is_left_out_takes_the_documented_default(start_platform: Start) -> None:
    running = start_platform("--spares", "0", "--gpus", f"{A}=1,{B}=1")
    made = post(running, "sessions/create/", gpu_type=A)["session"]
    assert (made["vcpu"], made["ram"], made["storage"]) == (2, "4Gi", "20Gi")
    assert made["status"] in ("pending", "creating")
    assert made["gpu_count"] == 1
    assert made["limits"]["auto_stop_enabled"] is False
    running.wait(made["id"], "running")


def test_several_types_in_one_session_and_either_spelling(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpus=[{"type": A, "count": 1}, {"type": "nvidia-rtx-3060-ti"}])
    assert made["gpu_type"].split(",") == ["nvidia-rtx-3060ti", A]
    assert made["gpu_count"] == 2
    assert made["hourly_rate"] == pytest.approx(0.98 + 0.42)


def test_a_short_id_will_do(platform: RunningPlatform, session: dict[str, Any]) -> None:
    for given in (session["id"], session["id"][:8], session["id"][:13], session["id"].upper()):
        assert get(platform, "sessions/status/", session_id=given)["session"]["id"] == session["id"]


@pytest.mark.parametrize(
    "given", ["", "abc", "00000000", "%%%%%%%%", "________", "x" * 100, "é" * 9]
)
def test_an_id_that_fits_nothing_is_not_found(platform: RunningPlatform, given: str) -> None:
    answer = platform.computing.get("sessions/status/", params={"session_id": given})
    assert answer.status_code == 404
    assert answer.json()["code"] == "session_not_found"


def test_the_long_poll_answers_at_the_change(platform: RunningPlatform) -> None:
    made = post(platform, "sessions/create/", gpu_type=B, ram=1, vcpu=1)["session"]
    seen, passed = "", []
    while seen != "running:ready":
        shown = get(platform, "sessions/status/", session_id=made["id"], wait=20, seen=seen or "-")
        assert f"{shown['session']['status']}:{shown['session']['creation_step']}" != seen
        seen = f"{shown['session']['status']}:{shown['session']['creation_step']}"
        passed.append(seen)
    assert len(passed) == len(set(passed))
    stopped = platform.stop_session(made["id"])
    assert stopped["stop_reason"] == "user"
    assert stopped["ended_at"] is not None


def test_sessions_are_listed_by_status(platform: RunningPlatform, session: dict[str, Any]) -> None:
    running = get(platform, "sessions/", status="running")["sessions"]
    assert session["id"] in [item["id"] for item in running]
    assert session["id"] not in [
        item["id"] for item in get(platform, "sessions/", status="stopped")["sessions"]
    ]
    assert len(get(platform, "sessions/")["sessions"]) >= len(running)
    answer = platform.computing.get("sessions/", params={"status": "sleeping"})
    assert answer.status_code == 400
    assert "running" in answer.json()["error"]


def test_rename(platform: RunningPlatform, session: dict[str, Any]) -> None:
    renamed = post(platform, "sessions/rename/", session_id=session["id"][:8], name="  mon-projet ")
    assert renamed["session"]["name"] == "mon-projet"
    for name in ("", "   ", "x" * 101, "two\nlines", "nul\0"):
        said = refused(platform, "sessions/rename/", 400, session_id=session["id"], name=name)
        assert said["error"].startswith("name ")
    shown = get(platform, "sessions/status/", session_id=session["id"])["session"]
    assert shown["name"] == "mon-projet"


def test_costs_of_one_several_and_all(platform: RunningPlatform, session: dict[str, Any]) -> None:
    one = get(platform, "sessions/cost/", session_id=session["id"][:8])
    assert {"success", "short_id", "hourly_rate", "duration_display", "currency"} <= set(one)
    assert one["hourly_rate"] == 0.98
    several = post(platform, "sessions/costs/", session_ids=[session["id"], session["id"][:8]])
    assert several["session_count"] == 1
    active = get(platform, "sessions/costs/", active_only="true")
    assert [item["status"] for item in active["sessions"]] == ["running"] * active["session_count"]
    everything = get(platform, "sessions/costs/")
    assert everything["total_cost"] == pytest.approx(
        sum(item["cost"] for item in everything["sessions"]), abs=1e-6
    )
    assert post(platform, "sessions/costs/", session_ids=[])["session_count"] == 0
    refused(platform, "sessions/costs/", 404, session_ids=["00000000"])


def test_the_bill_follows_the_clock(start_platform: Start) -> None:
    running = start_platform("--clock-rate", "3600", "--spares", "0", "--credit", "50")
    made = running.create(gpu_type=A)
    cost = get(running, "sessions/cost/", session_id=made["id"])
    assert cost["cost"] == pytest.approx(cost["duration_hours"] * 0.98, abs=1e-5)
    stopped = running.stop_session(made["id"])
    assert get(running, "balance/")["balance"] == pytest.approx(50 - stopped["cost"], abs=1e-6)


def test_a_limit_stops_the_session_by_itself(start_platform: Start) -> None:
    running = start_platform("--clock-rate", "3600", "--spares", "0")
    made = running.create(gpu_type=A, duration_limit=7200)
    stopped = running.wait(made["id"], "stopped")
    assert stopped["stop_reason"] == "duration_limit"
    assert stopped["cost"] == pytest.approx(2 * 0.98, abs=1e-6)


def test_the_queue_from_request_to_session(platform: RunningPlatform) -> None:
    holding = platform.create(gpu_type=B, gpu_count=2)
    said = refused(platform, "sessions/create/", 400, gpu_type=B)
    assert said["code"] == "insufficient_resources"
    assert (said["unavailable_gpus"], said["available_gpus"]) == ([B], [])
    queued = post(
        platform,
        "sessions/create/",
        gpu_type=B,
        ram=1,
        queue_if_unavailable=True,
        extra_config={"lambda_id": "l1"},
    )
    assert queued["queued"] is True
    assert queued["position"] == 1
    assert queued["unavailable_gpus"] == [B]
    other = post(platform, "sessions/create/", gpu_type=B, queue_if_unavailable=True)
    assert other["position"] == 2
    post(platform, "queue/cancel/", queue_id=other["queue_id"][:8])
    (pending,) = get(platform, "queue/", status="pending")["queue_jobs"]
    job = decode(QueueJob, pending)
    assert (job.queue_id, job.position, job.ram) == (queued["queue_id"], 1, 1)
    assert job.gpu_config["lambda_id"] == "l1"
    platform.stop_session(holding["id"])
    found = get(platform, "queue/job/", queue_id=queued["queue_id"][:8])
    created = found["queue_job"]["created_session_id"]
    platform.wait(created, "running")
    found = get(platform, "queue/job/", queue_id=queued["queue_id"])
    assert found["queue_job"]["status"] == "completed"
    tries = [decode(QueueAttempt, item) for item in found["attempts"]]
    assert not tries[0].success
    assert [item.success for item in tries[1:]].count(True) == 1
    assert tries[-1].success
    platform.stop_session(created)
    answer = platform.computing.get("queue/job/", params={"queue_id": "00000000"})
    assert (answer.status_code, answer.json()["code"]) == (404, "queue_job_not_found")


def test_part_of_what_was_asked_for(platform: RunningPlatform) -> None:
    holding = platform.create(gpu_type=B, gpu_count=2)
    made = post(
        platform,
        "sessions/create/",
        gpus=[{"type": B, "count": 1}, {"type": "nvidia-rtx-3080ti", "count": 1}],
        ram=1,
        allow_partial=True,
    )
    assert made["unavailable_gpus"] == [B]
    assert made["session"]["gpu_type"] == "nvidia-rtx-3080ti"
    for item in (holding, made["session"]):
        platform.wait(item["id"], "running")
        platform.stop_session(item["id"])


def test_concurrent_duplicates_make_one_session(platform: RunningPlatform) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"gpu_type": B, "ram": 1, "vcpu": 1}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: platform.computing.post("sessions/create/", json=body, headers=key),
                range(8),
            )
        )
    assert [answer.status_code for answer in answers] == [200] * 8
    (made,) = {answer.json()["session"]["id"] for answer in answers}
    platform.wait(made, "running")
    platform.stop_session(made)


def test_the_last_gpus_are_given_once_however_many_ask_at_once(platform: RunningPlatform) -> None:
    body = {"gpu_type": B, "ram": 1, "vcpu": 1}
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(lambda _: platform.computing.post("sessions/create/", json=body), range(6))
        )
    made = [answer.json()["session"]["id"] for answer in answers if answer.status_code == 200]
    refused = [answer.json()["code"] for answer in answers if answer.status_code != 200]
    assert len(made) == 2
    assert refused == ["insufficient_resources"] * 4
    for session_id in made:
        platform.stop_session(session_id)


def test_another_gpu_for_a_running_session(platform: RunningPlatform) -> None:
    made = platform.create(gpu_type=B)
    added = post(
        platform, "sessions/add-gpu/", session_id=made["id"], gpu_type="nvidia-rtx-3060-ti"
    )["session"]
    assert added["gpu_count"] == 2
    assert added["hourly_rate"] == pytest.approx(1.54 + 0.42)
    said = refused(
        platform, "sessions/add-gpu/", 400, session_id=made["id"], gpu_type=B, gpu_count=2
    )
    assert said["code"] == "insufficient_resources"
    platform.stop_session(made["id"])
    said = refused(platform, "sessions/add-gpu/", 400, session_id=made["id"], gpu_type=B)
    assert said["code"] == "session_state"


def test_stopping_twice_is_stopping_once(platform: RunningPlatform) -> None:
    made = platform.create(gpu_type=B)
    first = platform.stop_session(made["id"])
    assert platform.stop_session(made["id"]) == first


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("sessions/pause/", "POST"),
        ("email/", "POST"),
        ("lambda/execute/", "POST"),
        ("lambda/status/?queue_id=1", "GET"),
        ("lambda/result/1/", "GET"),
    ],
)
def test_what_it_does_not_do_it_says(platform: RunningPlatform, path: str, method: str) -> None:
    body = {"session_id": "x", "subject": "s", "message": "m", "script": "s"}
    answer = platform.computing.request(method, path, json=body if method == "POST" else None)
    assert answer.status_code == 501
    assert answer.json()["code"] == "unsupported"
