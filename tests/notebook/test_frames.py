"""Tables: the same columns and dtypes with rows and without, and no secret in any of them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
import pytest

from clouditia_jupyter.models import GPUInventory, GPUSession, QueueAttempt, QueueJob, decode
from clouditia_jupyter.notebook import frames
from clouditia_jupyter.notebook.meter import Meter

SESSION = GPUSession.from_wire(
    {
        "id": "0e4c713a-0000-4000-8000-000000000000",
        "name": "train",
        "status": "running",
        "gpu_type": "nvidia-rtx-3090",
        "vcpu": 4,
        "ram": "16Gi",
        "storage": "20Gi",
        "password": "hunter2",
        "url": "https://example.org/?token=hunter2",
        "created_at": "2026-01-02T03:04:05+02:00",
        "limits": {"cost_limit": 5, "duration_limit": 3600},
        "hourly_rate": 0.5,
    }
)
COST: Any = {
    "session_id": "0e4c713a",
    "name": "train",
    "status": "running",
    "cost": 1,
    "hourly_rate": 0.5,
    "duration_seconds": 7200,
    "started_at": "2026-01-02T03:04:05Z",
    "ended_at": None,
    "currency": "EUR",
}
JOB = decode(
    QueueJob,
    {
        "queue_id": "q",
        "position": 1,
        "gpu_config": {"gpus": [{"type": "a", "count": 2}]},
        "ram": 16,
        "created_at": "2026-01-02T03:04:05Z",
    },
)
ATTEMPT = decode(QueueAttempt, {"attempt_id": "t", "unavailable_gpus": ["a", "b"]})
OFFER = decode(GPUInventory, {"gpu_type": "a", "available": 2, "price_per_hour": 0.5})

TABLES: list[Any] = [
    (frames.sessions, SESSION),
    (frames.costs, COST),
    (frames.queue, JOB),
    (frames.attempts, ATTEMPT),
    (frames.inventory, OFFER),
]


@pytest.mark.parametrize(("table", "item"), TABLES)
def test_an_empty_table_has_the_columns_and_dtypes_of_a_full_one(table: Any, item: Any) -> None:
    full, empty = table([item]), table([])
    assert len(full) == 1
    assert len(empty) == 0
    pd.testing.assert_series_equal(full.dtypes, empty.dtypes)
    assert full.index.name == empty.index.name
    assert full.index.dtype == empty.index.dtype
    assert "object" not in [str(dtype) for dtype in full.dtypes]


@pytest.mark.parametrize(("table", "item"), TABLES)
def test_no_secret_gets_into_a_table(table: Any, item: Any) -> None:
    frame = table([item])
    assert not {"password", "key", "api_key", "url"} & set(frame.columns)
    assert "hunter2" not in frame.to_csv() + frame.to_html() + repr(frame)


def test_a_session_is_a_row_with_real_values() -> None:
    row = frames.sessions([SESSION]).loc[SESSION.id]
    assert row["ram_gb"] == 16.0
    assert row["cost_limit"] == 5.0
    assert row["duration_limit"] == 3600
    expected = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert row["created_at"] == expected
    assert str(row["created_at"].tz) == "UTC"
    assert pd.isna(row["ended_at"])
    assert pd.isna(row["cost"])


def test_costs_can_be_summed_and_timed() -> None:
    frame = frames.costs([COST, {**COST, "session_id": "f0b09214", "cost": 2.5}])
    assert frame["cost"].sum() == 3.5
    assert frame["started_at"].dt.year.tolist() == [2026, 2026]


def test_a_ticket_says_what_it_asks_for() -> None:
    row = frames.queue([JOB]).loc["q"]
    assert row["gpus"] == "2 x a"
    assert row["ram_gb"] == 16.0
    assert frames.wanted({"gpu_type": "b", "gpu_count": 1}) == "1 x b"
    assert frames.wanted({}) == ""


def test_what_a_lost_run_cost_is_not_known() -> None:
    run = {"run_id": "one", "status": "lost", "started_at": 1.0, "first_line": "x"}
    items = [(SESSION, Meter(0.36), {**run, "seconds": seconds}) for seconds in (None, 10.0)]
    lost, known = frames.runs(items)["euros"]
    assert pd.isna(lost)
    assert known == pytest.approx(0.001)


def test_markup_in_a_name_is_escaped_where_the_table_becomes_html() -> None:
    session = GPUSession.from_wire({"id": "1", "name": "<img src=x onerror=alert(1)>"})
    assert "<img" not in frames.sessions([session]).to_html()
