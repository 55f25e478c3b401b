"""A platform whose disk is full: it says so, loses no session, and goes on when there is room."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from clouditia_jupyter.platform.pod.sandbox import find_bwrap

pytestmark = pytest.mark.skipif(find_bwrap() is None, reason="bubblewrap is not installed")
A = "nvidia-rtx-3090"


@pytest.fixture
def where(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Say where a platform is whose state folder has 8 MB."""
    small = tmp_path / "small"
    small.mkdir()
    disk = ["bwrap", "--dev-bind", "/", "/", "--size", str(8 << 20), "--tmpfs", str(small)]
    serve = [sys.executable, "-m", "clouditia_jupyter.platform", "--spares", "0"]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(
            [*disk, "--", *serve, "--state", str(small / "state")],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    told = json.loads(process.stdout.readline())
    yield told
    process.stdout.close()
    platform = psutil.Process(told["pid"])
    pods = platform.children()
    platform.terminate()
    process.wait(30)
    for pod in pods:
        with contextlib.suppress(psutil.NoSuchProcess):
            pod.kill()


def test_a_full_disk_is_said_and_the_session_outlives_it(where: dict[str, Any]) -> None:
    with httpx.Client(
        base_url=f"{where['computing_url']}/api/computing/",
        headers={"Authorization": f"Bearer {where['api_key']}"},
        timeout=60,
    ) as computing:

        def reach(session_id: str, status: str) -> None:
            deadline = time.monotonic() + 60
            found = None
            while found != status and time.monotonic() < deadline:
                answer = computing.get("sessions/status/", params={"session_id": session_id})
                found = answer.json().get("session", {}).get("status")
            assert found == status

        def create() -> str:
            answer = computing.post("sessions/create/", json=body)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["session"]["id"])

        body = {"gpu_type": A, "ram": 1, "vcpu": 1}
        made = create()
        reach(made, "running")
        named = {"session_id": made, "name": "x"}
        key = computing.post("sessions/generate-key/", json=named).json()["api_key"]

        def run(code: str) -> list[dict[str, Any]]:
            answer = httpx.post(
                f"{where['code_editor_url']}/api/runs/",
                json={"code": code},
                headers={"Authorization": f"Bearer {key}"},
                timeout=60,
            )
            return [json.loads(line) for line in answer.text.splitlines() if line]

        filling = "with open('big', 'wb') as f:\n    while True: f.write(b'x' * 1000)"
        events = run(filling)
        assert events[-1]["content"]["status"] == "error"
        assert "No space left" in json.dumps(events)
        events = run("print('x' * 1_000_000)")  # more than what is left, by far
        assert events[-1]["content"]["status"] == "ok"
        assert sum(len(e["content"].get("text", "")) for e in events) > 1_000_000

        for _ in range(200):
            answer = computing.post("sessions/rename/", json={"session_id": made, "name": "n" * 90})
            if answer.status_code != 200:
                break
        assert answer.status_code == 503
        assert "disk is full" in answer.json()["error"]

        assert run("import os; os.remove('big')")[-1]["content"]["status"] == "ok"
        assert computing.post("sessions/stop/", json={"session_id": made}).status_code == 200
        reach(made, "stopped")
        again = create()
        reach(again, "running")
        assert computing.post("sessions/stop/", json={"session_id": again}).status_code == 200
        reach(again, "stopped")
