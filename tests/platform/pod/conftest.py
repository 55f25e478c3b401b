"""A real pod process with a session, for the tests beside this file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.platform.pod.couriers import HTTP, Memory, Port

ASSIGNMENT = {
    "session_id": "session-under-test",
    "cpus": sorted(os.sched_getaffinity(0))[:1],
    "ram_gb": 2,
    "storage_gb": 1,
    "cuda_devices": ["GPU-test"],
    "env": {},
}


class RunningPod:
    """A pod process and a client that may talk to it."""

    def __init__(self, folder: Path, *hidden: Path) -> None:
        self.folder = folder
        # sockets need a short path
        runtime = tempfile.mkdtemp(prefix="pod-")
        argv = [sys.executable, "-m", "clouditia_jupyter.platform.pod"]
        argv += ["--folder", str(folder), "--runtime", runtime]
        for path in hidden:
            argv += ["--hide", str(path)]
        self._runtime = runtime
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        told = json.loads(self.process.stdout.readline())
        self.process.stdout.close()
        headers = {"Authorization": f"Bearer {told['token']}"}
        self.client = httpx.Client(base_url=told["url"], headers=headers, timeout=60)

    def assign(self) -> RunningPod:
        assert self.client.post("/pod/assign/", json=ASSIGNMENT).json() == {"success": True}
        return self

    def run(self, code: str, **body: Any) -> list[dict[str, Any]]:
        """Run ``code`` as a cell and return its events."""
        answer = self.client.post("/api/runs/", json={"code": code, **body})
        return [json.loads(line) for line in answer.text.splitlines() if line]

    def text(self, code: str) -> str:
        """Run ``code`` as a cell and return what it printed."""
        events = self.run(code)
        assert events[-1]["content"]["status"] == "ok", events
        return "".join(e["content"]["text"] for e in events if e["type"] == "stream")

    def close(self) -> None:
        self.client.close()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        shutil.rmtree(self._runtime, ignore_errors=True)


@pytest.fixture(scope="session")
def pod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPod]:
    """A pod that tests share: they leave its kernel alive and their names behind."""
    running = RunningPod(tmp_path_factory.mktemp("pod")).assign()
    yield running
    running.close()


@pytest.fixture
def fresh_pod(tmp_path: Path) -> Iterator[RunningPod]:
    """A pod of the test's own, to be ill-treated."""
    running = RunningPod(tmp_path).assign()
    yield running
    running.close()


@pytest.fixture(params=[HTTP, Port, Memory])
def ways(request: pytest.FixtureRequest, pod: RunningPod) -> Iterator[Any]:
    made = request.param(pod)
    yield made
    made.close()
