"""Isolated runs, jobs and persistent namespaces, as the protocol has them."""

from __future__ import annotations

import json

from tests.platform.pod.conftest import RunningPod


def _finish(pod: RunningPod, job_id: str) -> dict[str, object]:
    """Return the job's status once it has one that stays."""
    while True:
        status: dict[str, object]
        status = pod.client.get("/api/jobs/status/", params={"job_id": job_id}).json()
        if status["status"] not in ("pending", "running"):
            return status


def test_an_isolated_run_prints_its_last_expression(pod: RunningPod) -> None:
    answer = pod.client.post("/api/execute/", json={"code": "print('a')\n1 + 1"}).json()
    assert answer == {
        "success": True,
        "output": "a\n2\n",
        "result": "2",
        "error": "",
        "exit_code": 0,
    }


def test_isolated_runs_share_nothing(pod: RunningPod) -> None:
    pod.client.post("/api/execute/", json={"code": "shared = 1"})
    answer = pod.client.post("/api/execute/", json={"code": "shared"}).json()
    assert (answer["success"], answer["exit_code"]) == (False, 1)
    assert answer["error"].rstrip().endswith("NameError: name 'shared' is not defined")
    assert "script.py" not in answer["error"]


def test_a_shell_command_gives_both_streams_and_its_status(pod: RunningPod) -> None:
    answer = pod.client.post("/api/shell/", json={"command": "echo a; echo b >&2; exit 3"}).json()
    assert (answer["output"], answer["error"], answer["exit_code"]) == ("a\n", "b\n", 3)


def test_a_timeout_ends_an_isolated_run(pod: RunningPod) -> None:
    body = {"command": "echo begun; sleep 600", "timeout": 0.5}
    answer = pod.client.post("/api/shell/", json=body).json()
    assert (answer["success"], answer["output"]) == (False, "begun\n")
    assert "timeout" in answer["error"]


def test_a_stream_tells_each_line_then_done(pod: RunningPod) -> None:
    code = "import sys\nprint('a'); print('b', file=sys.stderr)\n5"
    text = pod.client.post("/api/stream/", json={"code": code}).text
    events = [block.split("\n") for block in text.strip().split("\n\n")]
    told = [(head.removeprefix("event: "), json.loads(data[6:])) for head, data in events]
    lines = {(data["stream"], data["line"]) for name, data in told if name == "output"}
    assert lines == {("stdout", "a"), ("stderr", "b"), ("stdout", "5")}
    assert told[-1] == ("done", {"success": True, "exit_code": 0, "result": "5"})


def test_a_job_runs_by_itself_and_keeps_its_output(pod: RunningPod) -> None:
    body = {"code": "for n in range(3): print(n)", "name": "count"}
    job_id = pod.client.post("/api/jobs/submit/", json=body).json()["job_id"]
    status = _finish(pod, job_id)
    assert (status["status"], status["name"]) == ("completed", "count")
    logs = pod.client.get("/api/jobs/logs/", params={"job_id": job_id, "tail": 2}).json()
    assert logs["logs"] == "1\n2\n"
    result = pod.client.get("/api/jobs/result/", params={"job_id": job_id[:8]}).json()
    assert (result["status"], result["output"], result["exit_code"]) == (
        "completed",
        "0\n1\n2\n",
        0,
    )


def test_a_cancelled_job_stays_cancelled(pod: RunningPod) -> None:
    body = {"code": "sleep 600", "type": "shell", "name": "endless"}
    job_id = pod.client.post("/api/jobs/submit/", json=body).json()["job_id"]
    assert pod.client.post("/api/jobs/cancel/", json={"job_id": job_id}).json()["success"]
    pod.client.get("/api/jobs/result/", params={"job_id": job_id})
    assert _finish(pod, job_id)["status"] == "cancelled"
    listed = pod.client.get("/api/jobs/list/", params={"status": "cancelled"}).json()["jobs"]
    assert job_id in [job["job_id"] for job in listed]


def test_an_unknown_job_says_where_to_look(pod: RunningPod) -> None:
    answer = pod.client.get("/api/jobs/status/", params={"job_id": "nothing"})
    assert (answer.status_code, answer.json()["code"]) == (404, "job_not_found")


def test_a_namespace_lives_until_stopped(pod: RunningPod) -> None:
    started = pod.client.post("/api/session/start/").json()
    persistent_id = started["persistent_id"]

    def execute(code: str, timeout: float = 60) -> dict[str, object]:
        body = {"persistent_id": persistent_id, "code": code, "timeout": timeout}
        answer: dict[str, object] = pod.client.post("/api/session/exec/", json=body).json()
        return answer

    assert execute("x = 2")["success"]
    assert execute("print('x is'); x") == {
        "success": True,
        "output": "x is\n2\n",
        "result": "2",
        "error": "",
    }
    failed = execute("1 / 0")
    assert not failed["success"]
    assert "ZeroDivisionError" in str(failed["error"])
    assert "\x1b" not in str(failed["error"])
    assert "Interrupted" in str(execute("import time; time.sleep(600)", 0.5)["error"])
    assert execute("x")["result"] == "2"
    body = {"persistent_id": persistent_id}
    assert pod.client.post("/api/session/stop/", json=body).json() == {"success": True}
    assert pod.client.post("/api/session/exec/", json={**body, "code": "x"}).status_code == 404
