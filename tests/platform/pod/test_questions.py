"""A cell in a real pod that asks: the question, its answer, and who may give it."""

from __future__ import annotations

import json
from typing import Any

from tests.platform.pod.conftest import RunningPod


def test_a_question_takes_one_answer(pod: RunningPod) -> None:
    body = {"code": "[input('a '), input('b ')]", "run_id": "asking-1", "allow_stdin": True}
    path = "/api/runs/asking-1/input/"
    with pod.client.stream("POST", "/api/runs/", json=body) as answer:
        events = (json.loads(line) for line in answer.iter_lines() if line)
        first = next(events)
        assert first["type"] == "input_request"
        assert first["content"] == {"prompt": "a ", "password": False}
        assert is_open(pod, path, first)
        say(pod, path, first, "one")
        second = next(events)
        # a second answer to the first question must not become one to the second
        say(pod, path, first, "again")
        assert not is_open(pod, path, first)
        assert is_open(pod, path, second)
        say(pod, path, second, "two")
        result, done = events
    assert result["content"]["data"]["text/plain"] == "['one', 'two']"
    assert done["content"]["status"] == "ok"
    assert not is_open(pod, path, second)


def test_who_waits_hears_that_a_question_is_closed(pod: RunningPod) -> None:
    body = {"code": "input()", "run_id": "asking-2", "allow_stdin": True}
    with pod.client.stream("POST", "/api/runs/", json=body) as answer:
        lines = answer.iter_lines()
        question = json.loads(next(lines))
        pod.client.post("/api/runs/asking-2/interrupt/")
        assert not is_open(pod, "/api/runs/asking-2/input/", question, wait=20)
        assert json.loads(list(lines)[-1])["content"]["status"] == "error"


def test_a_run_asks_only_where_it_may(pod: RunningPod) -> None:
    error, done = pod.run("input()")
    assert error["content"]["ename"] == "StdinNotImplementedError"
    assert done["content"]["status"] == "error"


def say(pod: RunningPod, path: str, question: dict[str, Any], value: str) -> None:
    answer = pod.client.post(path, json={"request": question["seq"], "value": value})
    assert answer.json() == {"success": True}


def is_open(pod: RunningPod, path: str, question: dict[str, Any], **wait: float) -> bool:
    answer = pod.client.get(path, params={"request": question["seq"], **wait})
    return bool(answer.json()["open"])
