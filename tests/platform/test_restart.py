"""A platform that is killed, and started again on the same state."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import psutil
import pytest

from tests.running import RunningPlatform

Start = Callable[..., RunningPlatform]
A = "nvidia-rtx-3090"


def execute(platform: RunningPlatform, key: str, code: str) -> str:
    answer = platform.editor(key).post("runs/", json={"code": code})
    assert answer.status_code == 200, answer.text
    return answer.text


def test_sessions_keys_and_variables_outlive_a_kill(start_platform: Start) -> None:
    running = start_platform("--clock-rate", "3600", "--credit", "1000")
    made = running.create(gpu_type=A)
    key = running.key(made["id"])
    execute(running, key, "x = 41")
    running.kill()
    running.start()
    adopted = running.wait(made["id"], "running")
    assert adopted["started_at"] == made["started_at"]
    assert "42" in execute(running, key, "x + 1")
    stopped = running.stop_session(made["id"])
    cost = running.computing.get("sessions/cost/", params={"session_id": made["id"]}).json()
    assert cost["cost"] == pytest.approx(cost["duration_hours"] * 0.98, abs=1e-5)
    assert running.computing.get("balance/").json()["balance"] == pytest.approx(
        1000 - stopped["cost"], abs=1e-5
    )
    assert running.editor(key).get("verify/").status_code == 401


def test_a_pod_that_died_meanwhile_is_given_up(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    pid = running.pod_pid(made["id"])
    running.kill()
    process = psutil.Process(pid)
    process.kill()
    process.wait(10)
    running.start()
    found = running.wait(made["id"], "failed")
    assert found["stop_reason"] == "pod_lost"
    (item,) = [
        item
        for item in running.computing.get("inventory/").json()["inventory"]
        if item["gpu_type"] == A
    ]
    assert item["in_use"] == 0


def test_a_pod_that_dies_under_a_running_platform_is_noticed(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    psutil.Process(running.pod_pid(made["id"])).kill()
    assert running.wait(made["id"], "failed")["stop_reason"] == "pod_lost"


def test_a_clean_exit_leaves_sessions_running(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    key = running.key(made["id"])
    execute(running, key, "x = 1")
    assert running.terminate() == 0
    running.start()
    assert "2" in execute(running, key, "x + 1")


def test_the_clock_goes_on_across_restarts(start_platform: Start) -> None:
    running = start_platform("--spares", "0", "--clock-rate", "36000")
    made = running.create(gpu_type=A)
    before = running.computing.get("sessions/cost/", params={"session_id": made["id"]}).json()
    running.kill()
    running.options = ("--spares", "0")
    running.start()
    after = running.computing.get("sessions/cost/", params={"session_id": made["id"]}).json()
    assert after["duration_seconds"] > before["duration_seconds"]


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")
def test_a_new_session_is_not_put_on_the_core_of_an_adopted_one(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    code = "import os; print('cores', sorted(os.sched_getaffinity(0)))"
    old = running.key(running.create(gpu_type=A)["id"])
    running.kill()
    running.start()
    new = running.key(running.create(gpu_type=A)["id"])
    cores = [re.findall(r"cores \[\d+\]", execute(running, key, code)) for key in (old, new)]
    assert len(cores[0]) == len(cores[1]) == 1
    assert cores[0] != cores[1]
