"""A session's share of the machine, as its code meets it."""

from __future__ import annotations

import json

from tests.platform.pod.conftest import ASSIGNMENT, RunningPod


def test_a_cell_runs_on_its_cores_alone(pod: RunningPod) -> None:
    code = "import os; print(sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])"
    assert pod.text(code) == f"{ASSIGNMENT['cpus']} 1\n"


def test_too_much_memory_is_a_memory_error_and_no_more(pod: RunningPod) -> None:
    pod.run("before = 1")
    events = pod.run("bytearray(3 << 30)")
    assert [e["content"]["ename"] for e in events if e["type"] == "error"] == ["MemoryError"]
    assert pod.text("print(before, len(bytearray(1 << 30)))") == f"1 {1 << 30}\n"


def test_a_file_beyond_the_storage_is_an_error(pod: RunningPod) -> None:
    code = "with open('big', 'wb') as file: file.truncate(2 << 30)"
    events = pod.run(code)
    assert [e["content"]["ename"] for e in events if e["type"] == "error"] == ["OSError"]
    pod.run("import os; os.remove('big')")


def test_isolated_runs_have_the_same_limits(pod: RunningPod) -> None:
    code = "import os; print(sorted(os.sched_getaffinity(0)), os.environ['CUDA_VISIBLE_DEVICES'])"
    answer = pod.client.post("/api/execute/", json={"code": code}).json()
    assert answer["output"] == f"{ASSIGNMENT['cpus']} GPU-test\n"
    answer = pod.client.post("/api/execute/", json={"code": "bytearray(3 << 30)"}).json()
    assert not answer["success"]
    assert "MemoryError" in answer["error"]


def test_the_gpu_is_the_session_s_own(pod: RunningPod) -> None:
    assert pod.text("import os; print(os.environ['CUDA_VISIBLE_DEVICES'])") == "GPU-test\n"


def test_processes_that_together_use_too_much_end_the_kernel(fresh_pod: RunningPod) -> None:
    # each child stays below the limit of one process; the sum does not
    code = (
        "import subprocess, sys\n"
        "hold = 'import sys; b = bytearray(1 << 30); print(1, flush=True); sys.stdin.read()'\n"
        "children = [subprocess.Popen([sys.executable, '-c', hold], stdin=subprocess.PIPE,"
        " stdout=subprocess.PIPE) for _ in range(3)]\n"
        "for child in children: child.stdout.readline()\n"
        "import time; time.sleep(600)"
    )
    events = fresh_pod.run(code)
    assert events[-1]["content"]["status"] == "lost"
    assert "RAM" in json.dumps(events)
