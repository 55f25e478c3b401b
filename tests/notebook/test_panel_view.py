"""What the panel makes of an overview, without a platform: rows, drawings, and when to look."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from clouditia_jupyter.client.overview import ClockHands, Overview
from clouditia_jupyter.models import GPUInventory, GPUSession
from clouditia_jupyter.notebook.panel import pace
from clouditia_jupyter.notebook.panel.history import History, spans, spending
from clouditia_jupyter.notebook.panel.pace import Pace
from clouditia_jupyter.notebook.panel.view import sections
from clouditia_jupyter.notebook.panel.widget import as_text

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
HERE = 1_000_000.0
SCRIPT = "<img src=x onerror=alert(1)>"
USE = {"cpu_percent": 150, "memory_bytes": 1 << 30, "gpus": []}
#: A stand-in: there is no GPU to ask here.
SEEMING_GPU = {
    "name": "Seeming GPU",
    "percent": 87,
    "memory_bytes": 6 << 30,
    "memory_total_bytes": 24 << 30,
}


def session(**more: Any) -> GPUSession:
    facts = {
        "id": "0e4c713a-0000-4000-8000-000000000000",
        "name": "study",
        "status": "running",
        "gpu_type": "nvidia-rtx-3090",
        "gpus": [{"slug": "nvidia-rtx-3090", "quantity": 2}],
        "vcpu": 2,
        "ram": "4Gi",
        "storage": "20Gi",
        "password": "hunter2",
        "url": "https://example.org/",
        "started_at": NOON,
        "hourly_rate": 2.0,
        "cost": 1.0,
        "cost_since": NOON,
    }
    return GPUSession.from_wire({**facts, **more})


def overview(*sessions: GPUSession, **more: Any) -> Overview:
    facts: dict[str, Any] = {
        "user": {"username": "ada"},
        "credit": 10.0,
        "currency": "EUR",
        "sessions": sessions,
        "inventory": (GPUInventory(gpu_type="nvidia-rtx-3090", gpu_name="RTX 3090"),),
        "tickets": (),
        "attempts": {},
        "activity": {},
        "hands": ClockHands(NOON, HERE),
    }
    return Overview(**{**facts, **more})


def test_a_row_has_numbers_and_names_and_no_secret() -> None:
    shown = sections(overview(session(name=SCRIPT)), None)
    (row,) = shown["sessions"]
    assert (row["name"], row["gpu"]) == (SCRIPT, "2 × RTX 3090")
    assert row["machine"] == "2 vCPU, 4 GB RAM, 20 GB disk"
    assert (row["cost"], row["since"], row["rate"]) == (1.0, HERE, 2.0)
    assert "hunter2" not in as_text(shown)
    assert as_text(shown) == as_text(json.loads(as_text(shown)))


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//example.org", ""])
def test_only_a_web_page_is_a_link(url: str) -> None:
    (row,) = sections(overview(session(url=url)), None)["sessions"]
    assert row["url"] == ""


def test_a_session_that_has_ended_has_a_cost_and_no_row() -> None:
    ended = session(status="stopped", ended_at=NOON + timedelta(hours=1), cost_since=None, cost=3)
    shown = sections(overview(ended), None)
    assert shown["sessions"] == []
    assert (shown["costs"][0]["cost"], shown["costs"][0]["rate"]) == (3.0, 0.0)


def test_cost_grows_from_its_moment_to_its_limit() -> None:
    seen = overview(session(cost_limit=2.5))
    (one,) = seen.sessions
    assert seen.spent(one, HERE) == 1.0
    assert seen.spent(one, HERE + 1800) == 2.0
    assert seen.spent(one, HERE + 7200) == 2.5
    assert seen.balance(HERE + 1800) == 8.0


def test_a_faster_clock_is_reckoned_with() -> None:
    seen = overview(session(), hands=ClockHands(NOON, HERE, rate=3600.0))
    assert seen.spent(seen.sessions[0], HERE + 1) == pytest.approx(3.0)
    assert seen.hands.local(NOON + timedelta(hours=1)) == HERE + 1


def test_spending_over_time_is_that_of_all_sessions() -> None:
    ended = session(
        id="1" * 36,
        status="stopped",
        started_at=NOON - timedelta(hours=2),
        ended_at=NOON - timedelta(hours=1),
        cost_since=None,
        cost=4,
    )
    seen, now = overview(session(cost=0.0), ended), HERE + 3600
    known = spans(seen, now)
    assert sum(span.spent(now) for span in known) == 6.0
    assert sum(span.spent(HERE - 5400) for span in known) == 2.0  # half of the first
    assert [3600 * sum(s.rate(at) for s in known) for at in (HERE - 5400, HERE - 1, now)] == [
        pytest.approx(4.0),
        0.0,
        pytest.approx(2.0),
    ]
    drawn = spending(seen, now)
    assert drawn is not None
    assert "Spent: now 6 EUR" in drawn["spent"]
    assert "Burn rate: now 2 EUR/h, between 0 EUR/h and 4 EUR/h" in drawn["burn"]
    assert spending(overview(), HERE) is None


def test_what_a_session_uses_is_drawn() -> None:
    history, one = History(), session()
    seen = overview(one, activity={one.id: {"runs": [], "use": USE}})
    cpu, ram = history.note(seen, HERE)[one.id]
    assert (cpu["label"], cpu["text"]) == ("CPU", "75 %")  # of two cores
    assert (ram["label"], ram["text"]) == ("RAM", "1.0 of 4 GB")
    assert "<svg" in cpu["svg"]
    use = {**USE, "gpus": [SEEMING_GPU, {**SEEMING_GPU, "percent": 13}]}
    seen = overview(one, activity={one.id: {"runs": [], "use": use}})
    gpu, memory = history.note(seen, HERE + 2)[one.id]
    assert (gpu["label"], gpu["text"]) == ("GPU", "50 %")
    assert memory["text"] == "12.0 of 48 GB"
    assert history.note(overview(one), HERE + 4) == {}


def test_a_session_that_uses_what_it_used_is_not_drawn_anew() -> None:
    history, one = History(), session()

    def note(percent: int, at: float) -> str:
        use = {**USE, "cpu_percent": percent}
        seen = overview(one, activity={one.id: {"runs": [], "use": use}})
        return str(history.note(seen, HERE + at)[one.id][0]["svg"])

    level = note(0, 0)
    assert note(0, 100) == level
    step = note(100, 102)
    assert "between 0 % and 50 %" in step
    assert note(100, 104) == step
    moved = note(100, 150)
    assert moved != step and "between 0 % and 50 %" in moved
    assert "between" not in note(100, 300).replace("between 50 % and 50 %", "")


def test_looking_grows_slower_while_nothing_happens() -> None:
    when = Pace()
    assert when.seconds() == pace.FIRST
    for _ in range(20):
        when.saw(change=False)
    assert when.seconds() == pace.LONGEST
    when.saw(change=True)
    assert when.seconds() == pace.FIRST
    when.urgent = True
    assert when.seconds() == pace.URGENT


def test_a_platform_that_is_gone_is_not_besieged() -> None:
    when = Pace()
    when.urgent = True
    pauses = []
    for _ in range(10):
        when.failed()
        pauses.append(when.seconds())
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (pace.FIRST, pace.LONGEST_TROUBLE)
    when.saw(change=False)
    assert when.seconds() == pace.URGENT


def test_a_service_that_takes_several_requests_is_asked_less_often() -> None:
    when = Pace(cheap=False)
    assert when.seconds() == pace.FIRST_STOCK
    for _ in range(20):
        when.saw(change=False)
    assert pace.LONGEST < when.seconds() <= pace.LONGEST_STOCK
