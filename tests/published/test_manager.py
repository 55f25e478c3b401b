"""The published account client works against the platform, unchanged."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.published.conftest import RunProgram
from tests.running import RunningPlatform

Seen = dict[str, Any]


@pytest.fixture(scope="module", params=["clouditia-manager==1.7.0", "clouditia-manager==1.23.1"])
def seen(
    request: pytest.FixtureRequest, run_program: RunProgram, two_gpus: RunningPlatform
) -> Seen:
    """Return what the client answered, call by call."""
    where = two_gpus.where
    program = "manager_program.py"
    return run_program(request.param, program, where["computing_url"], where["api_key"])


def test_it_learns_who_it_works_for(seen: Seen) -> None:
    assert seen["user"]["username"]
    assert "email" in seen["user"]


def test_a_wrong_key_is_its_authentication_error(seen: Seen) -> None:
    assert seen["bad_key"]


def test_the_inventory_has_names_and_prices(seen: Seen) -> None:
    by_slug = {item["gpu_type"]: item for item in seen["inventory"]}
    assert set(by_slug) == {"nvidia-rtx-3090", "nvidia-rtx-4090"}
    assert by_slug["nvidia-rtx-3090"]["available"] == "1"
    assert float(by_slug["nvidia-rtx-3090"]["price_per_hour"]) > 0


def test_create_waits_until_the_session_is_ready(seen: Seen) -> None:
    session = seen["created"]
    assert session["status"] == "running"
    assert session["name"] == f"compute-gpu-{session['short_id']}"
    assert session["gpu_type"] == "nvidia-rtx-3090"
    assert (session["ram"], session["storage"]) == ("1Gi", "1Gi")
    assert (session["cost_limit"], session["duration_limit"]) == ("5.0", "3600")
    assert session["auto_stop_enabled"] == "True"
    assert "SESSION READY" in seen["printed"]


def test_the_session_is_found_by_its_short_id_and_in_the_list(seen: Seen) -> None:
    assert seen["got"]["id"] == seen["created"]["id"]
    assert [item["id"] for item in seen["listed"]] == [seen["created"]["id"]]


def test_rename_returns_the_session_under_its_new_name(seen: Seen) -> None:
    assert seen["renamed"]["name"] == "mon-projet-ml-v1"


def test_an_unknown_session_is_its_not_found_error(seen: Seen) -> None:
    assert seen["unknown"]


def test_a_gpu_in_use_is_its_insufficient_resources_error(seen: Seen) -> None:
    assert "nvidia-rtx-3090" in seen["insufficient"]


def test_a_request_queues_and_is_cancelled(seen: Seen) -> None:
    assert seen["queued"]["queued"] is True
    assert seen["queued"]["position"] == 1
    assert seen["queued"]["unavailable_gpus"] == ["nvidia-rtx-3090"]
    assert [job["queue_id"] for job in seen["tickets"]] == [seen["queued"]["queue_id"]]
    assert seen["ticket"]["status"] == "pending"
    assert seen["cancelled"] is True
    assert seen["ticket_after"]["status"] == "cancelled"


def test_the_costs_of_the_session_agree(seen: Seen) -> None:
    cost = seen["cost"]
    assert cost["short_id"] == seen["created"]["short_id"]
    assert 0 < cost["cost"] < 0.1
    assert cost["hourly_rate"] == pytest.approx(0.98)
    assert cost["currency"] == "EUR"
    assert re.fullmatch(r"\d+s", seen["duration"]["duration_display"])
    for costs in (seen["costs"], seen["active"]):
        assert costs["session_count"] == 1
        assert costs["total_cost"] >= cost["cost"]


def test_the_key_is_one_for_the_session(seen: Seen) -> None:
    assert re.fullmatch(r"sk_live_[\w-]{16,}", seen["key"])


def test_stop_waits_until_the_session_has_stopped(seen: Seen) -> None:
    assert seen["stopped"]["status"] == "stopped"
    assert "SESSION STOPPED" in seen["printed"]
    assert seen["active_after"]["session_count"] == 0


def test_the_balance_is_the_credit_less_what_was_used(seen: Seen) -> None:
    assert seen["balance"]["currency"] == "EUR"
    assert 99 < seen["balance"]["balance"] <= 100
