"""Messages to widgets in a real pod, and what happens there outside of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.platform.pod.conftest import RunningPod

#: A comm that says what it was told, and answers.
ECHO = (
    "import comm\n"
    "def told(message):\n"
    "    print('told', message['content']['data'], bytes(message['buffers'][0]))\n"
    "    one.send({'heard': True}, metadata={'loud': 1}, buffers=[b'\\x00\\xff'])\n"
    "one = comm.create_comm(target_name='echo', data={'here': 1})\n"
    "one.on_msg(told)"
)


def message(comm_id: str, msg_id: str, kind: str = "comm_msg", **more: Any) -> dict[str, Any]:
    content = {"comm_id": comm_id, "data": {"n": 1}}
    return {"msg_id": msg_id, "type": kind, "content": content, "buffers": ["/wA="], **more}


def opened(pod: RunningPod, code: str = ECHO) -> str:
    (event, done) = pod.run(code)
    assert event["content"]["target_name"] == "echo"
    assert event["content"]["data"] == {"here": 1}
    assert event["kernel"]
    assert done["content"]["status"] == "ok"
    return str(event["content"]["comm_id"])


@contextmanager
def followed(pod: RunningPod, after: int = 0) -> Iterator[Iterator[dict[str, Any]]]:
    with pod.client.stream("GET", "/api/events/", params={"after": after}) as answer:
        yield (json.loads(line) for line in answer.iter_lines() if line)


def test_a_message_reaches_its_comm_once_and_what_comes_of_it_is_told(pod: RunningPod) -> None:
    comm_id = opened(pod)
    for _ in range(2):
        answer = pod.client.post("/api/messages/", json=message(comm_id, "said-1"))
        assert answer.json() == {"success": True}
    with followed(pod) as events:
        mine = (event for event in events if event["parent"] == "said-1")
        assert next(mine)["type"] == "busy"
        text, heard = sorted(
            (next(mine), next(mine)), key=lambda event: event["type"] == "comm_msg"
        )
        assert text["content"] == {"name": "stdout", "text": "told {'n': 1} b'\\xff\\x00'\n"}
        assert heard["content"] == {"comm_id": comm_id, "data": {"heard": True}}
        assert heard["metadata"] == {"loud": 1}
        assert heard["buffers"] == ["AP8="]
        assert next(mine)["type"] == "idle"


def test_a_message_in_a_subshell_is_handled_beside_a_run(pod: RunningPod) -> None:
    comm_id = opened(pod)
    pod.client.post("/api/messages/", json=message(comm_id, "beside-1", subshell=True))
    with followed(pod) as events:
        ends = (e for e in events if (e["parent"], e["type"]) == ("beside-1", "idle"))
        assert next(ends)


def test_what_no_comm_is_called_is_refused(pod: RunningPod) -> None:
    answer = pod.client.post("/api/messages/", json=message("x", "bad-1", "execute_request"))
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_request"
    answer = pod.client.post("/api/messages/", json=message("x", "bad-2", buffers=["?"]))
    assert answer.status_code == 400


def test_a_kernel_that_is_replaced_says_which_widgets_are_dead(fresh_pod: RunningPod) -> None:
    event, _ = fresh_pod.run(ECHO)
    fresh_pod.client.post("/api/kernel/restart/")
    with followed(fresh_pod) as events:
        lost = next(event for event in events if event["type"] == "lost")
    assert lost["kernel"] == event["kernel"]
    again, _ = fresh_pod.run(ECHO)
    assert again["kernel"] not in ("", event["kernel"])


def test_what_has_happened_is_told_apart_from_what_happens(fresh_pod: RunningPod) -> None:
    comm_id = opened(fresh_pod)
    with fresh_pod.client.stream("GET", "/api/events/") as answer:
        assert answer.headers["X-Clouditia-Events"] == "0"
        fresh_pod.client.post("/api/messages/", json=message(comm_id, "said-1"))
        lines = answer.iter_lines()
        last = next(e for e in map(json.loads, lines) if e["type"] == "idle")["seq"]
    with fresh_pod.client.stream("GET", "/api/events/", params={"after": last}) as answer:
        assert answer.headers["X-Clouditia-Events"] == str(last)
