"""The account at a glance: complete, and the same for as long as nothing happens."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from clouditia_jupyter.models import parse_time
from clouditia_jupyter.platform.pod import use
from tests.running import RunningPlatform

A, B = "nvidia-rtx-3060ti", "nvidia-rtx-4090"
_LONGEST_WAIT = 60.0


@pytest.fixture(scope="module")
def session(platform: RunningPlatform) -> Iterator[dict[str, Any]]:
    """Return a session that runs while this file's tests do."""
    made = platform.create(gpu_type=A, cost_limit=5)
    yield made
    platform.stop_session(made["id"])


def look(platform: RunningPlatform, tag: str = "") -> Any:
    answer = platform.computing.get("overview/", headers={"If-None-Match": tag})
    assert answer.status_code in (200, 304), answer.text
    return answer


def settled(platform: RunningPlatform) -> str:
    """Return the tag of an overview in which nothing happens."""
    tag = look(platform).headers["etag"]
    until = time.monotonic() + _LONGEST_WAIT
    while time.monotonic() < until:
        answer = look(platform, tag)
        if answer.status_code == 304:
            return tag
        tag = answer.headers["etag"]
    raise AssertionError("it changes all the time")


def looks(platform: RunningPlatform) -> Iterator[dict[str, Any]]:
    """Yield what the overview says, again and again, for a while."""
    until = time.monotonic() + _LONGEST_WAIT
    while time.monotonic() < until:
        yield look(platform).json()


def test_it_has_what_the_single_calls_have(
    platform: RunningPlatform, session: dict[str, Any]
) -> None:
    found = look(platform).json()
    ask = platform.computing
    assert found["user"] == ask.get("verify/").json()["user"]
    assert found["inventory"] == ask.get("inventory/").json()["inventory"]
    moving = ("cost", "cost_since")
    mine = {one["id"]: one for one in found["sessions"]}[session["id"]]
    alone = ask.get("sessions/status/", params={"session_id": session["id"]}).json()["session"]
    assert {k: v for k, v in mine.items() if k not in moving} == {
        k: v for k, v in alone.items() if k not in moving
    }


def test_the_cost_at_its_moment_and_the_rate_make_the_bill(
    platform: RunningPlatform, session: dict[str, Any]
) -> None:
    before = platform.computing.get("balance/").json()["balance"]
    found = look(platform).json()
    after = platform.computing.get("balance/").json()["balance"]
    now = _moment(found["now"])
    growing = [one for one in found["sessions"] if one["cost_since"]]
    spent = sum(
        one["cost"] + one["hourly_rate"] * (now - _moment(one["cost_since"])).total_seconds() / 3600
        for one in growing
    )
    assert session["id"] in {one["id"] for one in growing}
    assert after - 1e-4 <= found["credit"] - spent <= before + 1e-4


def _moment(text: str) -> datetime:
    when = parse_time(text)
    assert when is not None
    return when


def test_nothing_is_sent_again_until_something_happens(
    platform: RunningPlatform, session: dict[str, Any]
) -> None:
    tag = settled(platform)
    answer = look(platform, tag)
    assert (answer.status_code, answer.content) == (304, b"")
    body = {"session_id": session["id"], "name": "another name"}
    assert platform.computing.post("sessions/rename/", json=body).status_code == 200
    changed = look(platform, tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    assert "another name" in {one["name"] for one in changed.json()["sessions"]}


def test_it_says_what_runs_and_what_that_uses(
    platform: RunningPlatform, session: dict[str, Any]
) -> None:
    editor = platform.editor(platform.key(session["id"]))
    code = "kept = bytearray(150_000_000)\nsum(range(3_000_000))"
    assert editor.post("runs/", json={"code": code}).status_code == 200
    said: dict[str, Any] = {}
    for found in looks(platform):  # a pod is asked again when its last answer is old enough
        said = found["activity"][session["id"]]
        if said["runs"] and said["use"]["memory_bytes"] > 150_000_000:
            break
    (run,) = said["runs"][:1]
    assert (run["status"], run["first_line"]) == ("ok", "kept = bytearray(150_000_000)")
    assert run["seconds"] > 0
    assert said["use"]["memory_bytes"] > 150_000_000
    assert said["use"]["gpus"] == []


def test_the_queue_comes_with_its_attempts(platform: RunningPlatform) -> None:
    holding = platform.create(gpu_type=B, gpu_count=2)
    wish = {"gpu_type": B, "vcpu": 1, "ram": 1, "queue_if_unavailable": True}
    ticket = platform.computing.post("sessions/create/", json=wish).json()["queue_id"]
    found = {one["queue_id"]: one for one in look(platform).json()["queue"]}[ticket]
    assert (found["status"], found["position"]) == ("pending", 1)
    assert len(found["attempts"]) == found["attempt_count"] == 1
    assert found["attempts"][0]["unavailable_gpus"] == [B]
    platform.computing.post("queue/cancel/", json={"queue_id": ticket})
    platform.stop_session(holding["id"])
    found = {one["queue_id"]: one for one in look(platform).json()["queue"]}[ticket]
    assert (found["status"], found["attempts"]) == ("cancelled", [])


def test_it_needs_the_key_of_the_account(platform: RunningPlatform) -> None:
    answer = platform.anonymous().get("/jobs/api/computing/overview/")
    assert answer.status_code == 401


def test_the_stock_service_has_none(stock_platform: RunningPlatform) -> None:
    assert stock_platform.computing.get("overview/").status_code == 404


# GPUs: there are none here, so the driver is a stand-in


def seeming_driver(monkeypatch: pytest.MonkeyPatch, **more: Callable[..., Any]) -> None:
    """Put a stand-in in the place of NVML: it answers for one GPU, ``GPU-1``."""

    class NVMLError(Exception):
        pass

    def handle(uuid: str) -> str:
        if uuid != "GPU-1":
            raise NVMLError
        return uuid

    driver = ModuleType("pynvml")
    answers: dict[str, Any] = {
        "NVMLError": NVMLError,
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetHandleByUUID": handle,
        "nvmlDeviceGetName": lambda handle: "Seeming GPU",
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=87, memory=1),
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(used=3 << 30, total=24 << 30),
        **more,
    }
    for name, value in answers.items():
        setattr(driver, name, value)
    monkeypatch.setitem(sys.modules, "pynvml", driver)


def test_a_sessions_own_gpus_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seeming_driver(monkeypatch)
    assert use.gpus(["GPU-1"]) == [
        {
            "name": "Seeming GPU",
            "percent": 87,
            "memory_bytes": 3 << 30,
            "memory_total_bytes": 24 << 30,
        }
    ]
    assert use.gpus(["GPU-gone"]) == []


def test_a_machine_without_a_driver_has_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert use.gpus(["GPU-1"]) == []
