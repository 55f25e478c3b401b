"""The code-editor API of a real platform: its own answers, and what it passes on to the pod."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from clouditia_jupyter.values.parcel import pack
from tests.platform.test_errors import assert_envelope
from tests.running import RunningPlatform

Start = Callable[..., RunningPlatform]
A = "nvidia-rtx-3080ti"


@pytest.fixture(scope="module")
def session(platform: RunningPlatform) -> Iterator[dict[str, Any]]:
    """Return a session that runs while this file's tests do."""
    made = platform.create(gpu_type=A)
    yield made
    platform.stop_session(made["id"])


@pytest.fixture(scope="module")
def editor(platform: RunningPlatform, session: dict[str, Any]) -> httpx.Client:
    """Return a client with a key of the session."""
    return platform.editor(platform.key(session["id"]))


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines() if line]


def test_verify_describes_the_session(editor: httpx.Client, session: dict[str, Any]) -> None:
    found = editor.get("verify/").json()
    assert found["session_id"] == session["id"]
    assert found["session_name"] == session["name"]
    assert (found["status"], found["ready"]) == ("running", True)
    assert 0 < found["user_credit"] <= 100
    assert found["capabilities"] == ["runs", "values", "inspection", "comms"]
    direct = found["direct"]
    headers = {"Authorization": f"Bearer {direct['token']}"}
    with httpx.Client(base_url=direct["url"], headers=headers, trust_env=False) as pod:
        assert pod.get("/api/runs/").json()["success"] is True


def test_many_keys_open_one_session(platform: RunningPlatform, session: dict[str, Any]) -> None:
    made = [platform.key(session["id"]) for _ in range(3)]
    assert len(set(made)) == 3
    for key in made:
        assert key.startswith("sk_live_")
        assert platform.editor(key).get("verify/").json()["session_id"] == session["id"]


def test_no_key_is_kept_as_it_is(platform: RunningPlatform, session: dict[str, Any]) -> None:
    key = platform.key(session["id"])
    stored = b"".join(file.read_bytes() for file in platform.state.glob("platform.db*"))
    assert key.encode() not in stored
    assert platform.where["api_key"].encode() not in stored
    log = platform.log.read_text()
    assert key not in log
    assert session["password"] not in log


def test_upload_config(editor: httpx.Client) -> None:
    found = editor.get("upload-config/").json()
    assert found["max_upload_size_mb"] > 0
    assert found["chunk_size_bytes"] > 0


def test_a_run_streams_through(editor: httpx.Client) -> None:
    code = (
        "import time\nprint('first', flush=True)\nx = input if False else 1\nprint('last')\nx + 1"
    )
    with editor.stream("POST", "runs/", json={"code": code}) as answer:
        assert answer.headers["content-type"].startswith("application/x-ndjson")
        found = [json.loads(line) for line in answer.iter_lines() if line]
    assert [item["seq"] for item in found] == list(range(1, len(found) + 1))
    assert found[-1]["type"] == "done"
    assert found[-1]["content"]["status"] == "ok"


def test_output_comes_before_the_run_ends(editor: httpx.Client) -> None:
    code = "import time\nprint('first', flush=True)\ntime.sleep(60)"
    run_id = "a" * 32
    with editor.stream("POST", "runs/", json={"code": code, "run_id": run_id}) as answer:
        lines = (json.loads(line) for line in answer.iter_lines() if line)
        assert next(lines)["content"]["text"] == "first\n"
        assert editor.post(f"runs/{run_id}/interrupt/").json()["success"] is True
        assert [item["type"] for item in lines][-2:] == ["error", "done"]
    again = events(editor.get(f"runs/{run_id}/events/", params={"after": 1}))
    assert again[0]["seq"] == 2


def test_values_pass_as_bytes(editor: httpx.Client) -> None:
    there, back = "a" * 32, "b" * 32
    body = b"".join(pack({"many": list(range(200_000)), "few": [1]}, allow_pickle=False))
    assert editor.put(f"parcels/{there}", content=body).json() == {"success": True}
    assert editor.post("values/", json={"parcel": there}).json() == {"success": True}
    wanted = {"names": ["many", "few"], "parcel": back}
    assert editor.post("values/fetch/", json=wanted).json() == {"success": True}
    assert editor.get(f"parcels/{back}").content == body


def test_the_calls_of_the_stock_service(editor: httpx.Client) -> None:
    namespace = editor.post("session/start/").json()["persistent_id"]
    for code in ("x = 20", "x += 1"):
        done = editor.post("session/exec/", json={"persistent_id": namespace, "code": code})
        assert done.json()["success"] is True, done.text
    done = editor.post("session/exec/", json={"persistent_id": namespace, "code": "x * 2"})
    assert done.json()["result"] == "42"
    assert editor.post("session/stop/", json={"persistent_id": namespace}).json()["success"]
    assert editor.post("execute/", json={"code": "print(6 * 7)"}).json()["output"].strip() == "42"
    assert editor.post("shell/", json={"command": "echo $((6 * 7))"}).json()["output"] == "42\n"
    said = editor.post("shell/", json={"command": "echo 'a\\nb'"}).json()["output"]
    assert said == "a\\nb\n"
    assert "event: done" in editor.post("stream/", json={"code": "print(1)"}).text
    job = editor.post("jobs/submit/", json={"code": "print('x')", "name": "n"}).json()["job_id"]
    assert editor.get("jobs/status/", params={"job_id": job}).json()["name"] == "n"
    assert job in [item["job_id"] for item in editor.get("jobs/list/").json()["jobs"]]
    assert editor.get("jobs/logs/", params={"job_id": job, "tail": 5}).status_code == 200


def test_what_the_pod_refuses_comes_back_as_it_said(editor: httpx.Client) -> None:
    answer = editor.get("jobs/status/", params={"job_id": "none"})
    assert_envelope(answer, 404, "job_not_found")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "runs/", {}),
        ("POST", "runs/", {"code": 5}),
        ("POST", "runs/", {"code": "1", "run_id": "../../etc"}),
        ("POST", "execute/", {"code": "1", "timeout": -1}),
        ("POST", "jobs/submit/", {"code": "1", "type": "cobol"}),
        ("POST", "shell/", {}),
        ("GET", "jobs/status/", None),
        ("GET", "jobs/logs/?job_id=x&tail=-1", None),
    ],
)
def test_bad_input_does_not_reach_the_pod(
    editor: httpx.Client, method: str, path: str, body: dict[str, Any] | None
) -> None:
    assert_envelope(editor.request(method, path, json=body), 400, "invalid_request")


def test_a_stopped_sessions_key_says_so(platform: RunningPlatform) -> None:
    made = platform.create(gpu_type=A)
    editor = platform.editor(platform.key(made["id"]))
    platform.stop_session(made["id"])
    for answer in (editor.get("verify/"), editor.post("execute/", json={"code": "1"})):
        assert "revoked" in assert_envelope(answer, 401, "authentication")
    answer = platform.computing.post("sessions/generate-key/", json={"session_id": made["id"]})
    assert "stopped" in assert_envelope(answer, 400, "session_state")


def test_a_dead_pod_is_a_clear_answer(start_platform: Start) -> None:
    import psutil

    running = start_platform("--spares", "0")
    made = running.create(gpu_type=A)
    editor = running.editor(running.key(made["id"]))
    psutil.Process(running.pod_pid(made["id"])).kill()
    answer = editor.post("execute/", json={"code": "1"})
    assert_envelope(answer, 503, "service_unavailable")
    assert running.wait(made["id"], "failed")["stop_reason"] == "pod_lost"


def test_widgets_and_questions_are_reached_through_the_platform(editor: httpx.Client) -> None:
    code = (
        "import comm\n"
        "one = comm.create_comm(target_name='t')\n"
        "one.on_msg(lambda message: print(message['content']['data']))\n"
        "input('? ')"
    )
    run_id = uuid.uuid4().hex
    body = {"code": code, "run_id": run_id, "allow_stdin": True}
    with editor.stream("POST", "runs/", json=body) as answer:
        told = (json.loads(line) for line in answer.iter_lines() if line)
        made, question = next(told), next(told)
        where = {"request": question["seq"]}
        assert editor.get(f"runs/{run_id}/input/", params=where).json()["open"] is True
        said = editor.post(f"runs/{run_id}/input/", json={**where, "value": "yes"})
        assert said.json()["success"] is True
        assert next(told)["content"]["data"]["text/plain"] == "'yes'"
    content = {"comm_id": made["content"]["comm_id"], "data": {"n": 1}}
    message = {"msg_id": run_id + "-1", "type": "comm_msg", "content": content}
    assert editor.post("messages/", json=message).json()["success"] is True
    with editor.stream("GET", "events/") as answer:
        assert answer.headers["X-Clouditia-Events"]
        told = (json.loads(line) for line in answer.iter_lines() if line)
        heard = (e for e in told if e["parent"] == message["msg_id"])
        assert next(heard)["type"] == "busy"  # it is taken up
        text = next(heard)
    assert text["content"]["text"] == "{'n': 1}\n"
    assert_envelope(editor.post("messages/", json={**message, "type": "x"}), 400, "invalid_request")


def test_the_stock_service_runs_code_its_own_way(stock_platform: RunningPlatform) -> None:
    made = stock_platform.create(gpu_type=A)
    assert "hourly_rate" not in made
    editor = stock_platform.editor(stock_platform.key(made["id"]))
    found = editor.get("verify/").json()
    assert "capabilities" not in found
    assert "direct" not in found
    for method, path in (("POST", "runs/"), ("GET", "runs/"), ("POST", "values/fetch/")):
        assert_envelope(editor.request(method, path), 404, "not_found")
    assert editor.post("execute/", json={"code": "print(1)"}).json()["success"] is True
    stock_platform.stop_session(made["id"])


def test_the_page_of_a_session_escapes_its_name(
    platform: RunningPlatform, session: dict[str, Any]
) -> None:
    name = "<img src=x onerror=alert(1)>"
    platform.computing.post("sessions/rename/", json={"session_id": session["id"], "name": name})
    page = platform.anonymous().get(f"/code-editor/{session['id'][:8]}/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "<img" not in page.text
    assert "&lt;img src=x" in page.text
    assert A in page.text
    assert session["password"] not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert_envelope(platform.anonymous().get("/code-editor/00000000/"), 404, "session_not_found")
