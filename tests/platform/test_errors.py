"""Every refusal has one shape: success, error, code; one sentence that names the next step."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from clouditia_jupyter.errors import BY_CODE
from tests.running import RunningPlatform

A = "nvidia-rtx-3090"
CREATE = "sessions/create/"


def assert_envelope(answer: httpx.Response, status: int, code: str) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["success"] is False
    assert body["code"] == code
    assert code in BY_CODE
    assert answer.headers["content-type"] == "application/json"
    error = body["error"]
    assert isinstance(error, str)
    assert error.endswith(".")
    assert "\n" not in error
    return error


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"gpu_type": "nvidia-rtx-9090"}, ["nvidia-rtx-9090", A, "nvidia-rtx-4090"]),
        ({"gpu_type": A, "gpu_count": 0}, ["gpu_count", "at least 1"]),
        ({"gpu_type": A, "gpu_count": -1}, ["gpu_count", "at least 1"]),
        ({"gpu_type": A, "gpu_count": 3}, ["only 2 exist", "at most 2"]),
        ({"gpus": [{"type": A, "count": 2}, {"type": A, "count": 1}]}, ["only 2 exist"]),
        ({"gpus": [{"type": A, "count": 0}]}, ["count", "at least 1"]),
        ({"gpus": []}, ["gpu_type", A]),
        ({}, ["gpu_type", A]),
        ({"gpu_type": ""}, ["gpu_type", "empty"]),
        ({"gpu_type": 5}, ["gpu_type"]),
        ({"gpu_type": A, "vcpu": 0}, ["vcpu", "at least 1"]),
        ({"gpu_type": A, "vcpu": 10**30}, ["vcpu"]),
        ({"gpu_type": A, "ram": -4}, ["ram", "at least 1", "-4"]),
        ({"gpu_type": A, "ram": 10**6}, ["ram", "at most"]),
        ({"gpu_type": A, "storage": 0}, ["storage", "at least 1"]),
        ({"gpu_type": A, "storage": "much"}, ["storage"]),
        ({"gpu_type": A, "cost_limit": 0}, ["cost_limit", "at least"]),
        ({"gpu_type": A, "cost_limit": -1}, ["cost_limit", "at least"]),
        ({"gpu_type": A, "duration_limit": 0}, ["duration_limit", "at least 1"]),
        ({"gpu_type": A, "duration_limit": -5}, ["duration_limit", "at least 1"]),
        ({"gpu_type": A, "duration_limit": 10**12}, ["duration_limit", "at most"]),
        ({"gpu_type": A, "cluster_id": "moon"}, ["moon", "local"]),
        ({"gpu_type": A, "gpu_count": 3, "queue_if_unavailable": True}, ["only 2 exist"]),
        ({"gpu_type": A, "gpu_count": 3, "allow_partial": True}, ["only 2 exist"]),
    ],
)
def test_a_bad_request_changes_nothing(
    platform: RunningPlatform, body: dict[str, Any], words: list[str]
) -> None:
    before = platform.computing.get("sessions/").json(), platform.computing.get("queue/").json()
    error = assert_envelope(platform.computing.post(CREATE, json=body), 400, "invalid_request")
    for word in words:
        assert word in error
    after = platform.computing.get("sessions/").json(), platform.computing.get("queue/").json()
    assert {item["id"] for item in before[0]["sessions"]} == {
        item["id"] for item in after[0]["sessions"]
    }
    assert before[1] == after[1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b'{"gpu_type": NaN}',
        b'{"gpu_type": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_a_body_that_is_no_json_object(platform: RunningPlatform, content: bytes) -> None:
    answer = platform.computing.post(
        CREATE, content=content, headers={"Content-Type": "application/json"}
    )
    assert_envelope(answer, 400, "invalid_request")


def test_infinite_money_is_refused(platform: RunningPlatform) -> None:
    answer = platform.computing.post(
        CREATE,
        content=b'{"gpu_type": "nvidia-rtx-3090", "cost_limit": Infinity}',
        headers={"Content-Type": "application/json"},
    )
    assert "cost_limit" in assert_envelope(answer, 400, "invalid_request")


def test_an_environment_is_not_kept_here(platform: RunningPlatform) -> None:
    answer = platform.computing.post(CREATE, json={"gpu_type": A, "environment_id": "x"})
    assert_envelope(answer, 501, "unsupported")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Basic eDp5",
        "Bearer sk_compute_wrong",
        "Bearer sk_live_wrong",
        "Bearer nonsense",
        "sk_compute_wrong",
    ],
)
def test_a_key_that_is_none_opens_nothing(platform: RunningPlatform, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    for path in ("/jobs/api/computing/verify/", "/code-editor/api/verify/"):
        answer = platform.anonymous().get(path, headers=headers)
        assert_envelope(answer, 401, "authentication")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_one_apis_key_does_not_open_the_other(platform: RunningPlatform) -> None:
    answer = platform.editor(platform.where["api_key"]).get("verify/")
    assert "sk_live_" in assert_envelope(answer, 401, "authentication")


def test_an_unknown_path_and_a_wrong_method(platform: RunningPlatform) -> None:
    assert_envelope(platform.computing.get("nothing/"), 404, "not_found")
    answer = platform.computing.get(CREATE)
    assert "POST" in assert_envelope(answer, 405, "error")
    assert answer.headers["allow"] == "POST"


def test_every_route_is_in_the_openapi_document_and_guarded(platform: RunningPlatform) -> None:
    document = platform.anonymous().get("/openapi.json").json()
    assert "Refusal" in document["components"]["schemas"]
    paths = document["paths"]
    assert len(paths) > 35
    for path, item in paths.items():
        for method, operation in item.items():
            assert operation["responses"]["400"], path
            assert "422" not in operation["responses"], path
            if path.endswith("/{short_id}/"):
                continue
            assert operation["security"], path
            answer = platform.anonymous().request(method, path.replace("{", "").replace("}", ""))
            assert_envelope(answer, 401, "authentication")
