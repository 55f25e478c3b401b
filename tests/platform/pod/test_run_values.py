"""Variables that a run brings with it."""

from __future__ import annotations

import threading
import uuid
from typing import Any

import pytest

from clouditia_jupyter.values.parcel import pack
from tests.platform.pod.conftest import RunningPod
from tests.platform.pod.couriers import busy, held_parcels


def test_a_run_binds_what_it_brings_when_its_turn_comes(pod: RunningPod, ways: Any) -> None:
    pod.run("x = 'first'")
    _, end = busy(pod)
    said: dict[str, Any] = {}
    turns = [threading.Thread(target=lambda: said.update(early=pod.run("print(x)")))]
    turns[0].start()
    while len(queued(pod)) < 1:
        pass
    parcel, run_id = uuid.uuid4().hex, uuid.uuid4().hex
    brings = {"code": "print(x)", "parcel": parcel, "run_id": run_id}
    with (
        ways.sent(parcel, pack({"x": "second"}, allow_pickle=True)),
        pod.client.stream("POST", "/api/runs/", json=brings) as answer,
    ):
        assert answer.status_code == 200  # at once, though another cell runs
    assert queued(pod)[0]["run_id"] == run_id
    end()
    turns[0].join()
    assert said["early"][0]["content"]["text"] == "first\n"
    assert pod.run("", run_id=run_id)[0]["content"]["text"] == "second\n"
    assert held_parcels(pod) == 0


def test_a_run_whose_values_are_refused_does_not_run(pod: RunningPod, ways: Any) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    pod.run("x = 'before'")
    parcel = uuid.uuid4().hex
    with ways.sent(parcel, pack({"x": 1, "bad": Bad()}, allow_pickle=True)):
        error, done = pod.run("x = 'ran'", parcel=parcel)
    assert error["content"]["ename"] == "ValueTransferError"
    assert "no number" in error["content"]["evalue"]
    assert (done["content"]["status"], done["content"]["refused"]) == ("error", True)
    assert pod.text("print(x)") == "before\n"


def test_a_run_without_its_parcel_does_not_begin(pod: RunningPod) -> None:
    body = {"code": "1", "parcel": uuid.uuid4().hex, "run_id": uuid.uuid4().hex}
    gone = pod.client.post("/api/runs/", json=body)
    assert gone.status_code == 400
    assert "Send it again" in gone.json()["error"]
    assert pod.client.get(f"/api/runs/{body['run_id']}/events/").status_code == 404


@pytest.mark.parametrize("way", ["interrupt", "restart"])
def test_nothing_stays_of_what_a_run_brings_that_never_runs(
    pod: RunningPod, ways: Any, way: str
) -> None:
    running, _ = busy(pod)
    parcel, run_id = uuid.uuid4().hex, uuid.uuid4().hex
    with (
        ways.sent(parcel, pack({"x": "second"}, allow_pickle=True)),
        pod.client.stream("POST", "/api/runs/", json={"parcel": parcel, "run_id": run_id}),
    ):
        pass
    assert held_parcels(pod) == 1
    if way == "interrupt":
        pod.client.post(f"/api/runs/{run_id}/interrupt/")
        pod.client.post(f"/api/runs/{running}/interrupt/")
    else:
        pod.client.post("/api/kernel/restart/", json={})
    assert pod.run("", run_id=run_id)[-1]["content"]["status"] == "lost"
    while held_parcels(pod):
        pass


def queued(pod: RunningPod) -> list[dict[str, Any]]:
    runs = pod.client.get("/api/runs/").json()["runs"]
    return [run for run in runs if run["status"] == "queued"]
