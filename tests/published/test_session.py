"""The published session client works against the platform, unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.published.conftest import RunProgram
from tests.running import RunningPlatform

Seen = dict[str, Any]


@pytest.fixture(scope="module")
def seen(run_program: RunProgram, two_gpus: RunningPlatform) -> Iterator[Seen]:
    """Return what the client answered, call by call."""
    session = two_gpus.create(gpu_type="nvidia-rtx-4090", gpu_count=1)
    url = two_gpus.where["code_editor_url"]
    key = two_gpus.key(session["id"])
    try:
        yield run_program("clouditia==2.1.0", "session_program.py", url, key) | {"session": session}
    finally:
        two_gpus.stop_session(session["id"])


def test_verify_tells_the_session(seen: Seen) -> None:
    assert seen["verify"]["session_id"] == seen["session"]["id"]
    assert seen["ready"] is True


def test_a_wrong_key_is_its_authentication_error(seen: Seen) -> None:
    assert seen["bad_key"]


def test_run_returns_what_was_printed(seen: Seen) -> None:
    assert seen["run"]["success"] is True
    assert "Hello GPU!" in seen["run"]["output"]


def test_run_reports_an_error(seen: Seen) -> None:
    assert seen["raised"]["success"] is False
    assert "ZeroDivisionError" in seen["raised"]["error"] + seen["raised"]["output"]
    assert "before" in seen["raised"]["output"]


def test_shell_runs_in_the_workspace(seen: Seen) -> None:
    assert seen["shell"]["exit_code"] == 0
    assert "workspace" in seen["shell"]["output"]


def test_a_job_is_followed_to_its_result(seen: Seen) -> None:
    assert seen["waited"]["success"] is True
    assert seen["result"]["output"].split("\n")[:3] == ["epoch 0", "epoch 1", "epoch 2"]
    assert "epoch 0" not in seen["logs"] and "epoch 2" in seen["logs"]
    assert seen["job"]["status"] == "completed"
    assert seen["job"]["duration"] >= 0
    assert {"id": seen["job"]["id"], "name": "training"} in seen["jobs"]


def test_a_job_is_cancelled(seen: Seen) -> None:
    assert seen["cancel"] is True
    assert seen["cancelled_status"] == "cancelled"
    assert seen["cancelled"]["success"] is False


def test_a_value_goes_there_and_comes_back(seen: Seen) -> None:
    assert seen["set"] is True
    assert seen["get"] == {"rates": [0.1, 0.01], "name": "essai"}


def test_variables_live_from_start_to_stop(seen: Seen) -> None:
    assert seen["start"] is True
    assert seen["persistent"]["output"].strip() == "10"
    assert seen["persistent_error"]["success"] is False
    assert "undefined_name" in seen["persistent_error"]["error"]
    assert seen["stop"] is True
