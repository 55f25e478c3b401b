"""Variables put into and fetched from a real kernel."""

from __future__ import annotations

import httpx

from clouditia_jupyter import values
from tests.platform.pod.conftest import RunningPod


def _put(pod: RunningPod, name: str, value: object) -> httpx.Response:
    fmt, data = values.encode(value)
    return pod.client.put(f"/api/values/{name}", content=data, headers={"X-Clouditia-Format": fmt})


def _fetch(pod: RunningPod, name: str, *, allow_pickle: bool = False) -> httpx.Response:
    return pod.client.post("/api/values/fetch/", json={"name": name, "allow_pickle": allow_pickle})


def test_there_and_back(pod: RunningPod) -> None:
    assert _put(pod, "there", {"a": [1, None]}).json() == {"success": True}
    assert pod.text("print(there)") == "{'a': [1, None]}\n"
    answer = _fetch(pod, "there")
    fmt = answer.headers["X-Clouditia-Format"]
    assert values.decode(fmt, answer.content) == {"a": [1, None]}


def test_a_missing_name_lists_near_ones(pod: RunningPod) -> None:
    pod.run("accuracy = 1")
    answer = _fetch(pod, "acuracy")
    assert answer.status_code == 400
    assert "accuracy" in answer.json()["error"]


def test_what_needs_pickle_comes_only_when_allowed(pod: RunningPod) -> None:
    pod.run("class Thing: pass\nthing = Thing()")
    refused = _fetch(pod, "thing")
    assert refused.status_code == 400
    assert "--trust-pickle" in refused.json()["error"]
    assert _fetch(pod, "thing", allow_pickle=True).headers["X-Clouditia-Format"] == "cloudpickle"


def test_a_function_goes_up(pod: RunningPod) -> None:
    def double(x: int) -> int:
        return 2 * x

    _put(pod, "double", double)
    assert pod.text("print(double(21))") == "42\n"


def test_only_identifiers_are_names(pod: RunningPod) -> None:
    assert _put(pod, "a b", 1).status_code == 400
    assert _fetch(pod, "__import__('os')").status_code == 400


def test_a_value_leaves_no_file_behind(pod: RunningPod) -> None:
    code = "import os; print(sorted(n for n in os.listdir(os.environ['IPYTHONDIR'] + '/..')))"
    before = pod.text(code)
    _put(pod, "passing", b"x" * 1000)
    _fetch(pod, "passing")
    assert pod.text(code) == before
