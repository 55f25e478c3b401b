"""Variables put into and fetched from a real kernel, over HTTP and handed over in memory."""

from __future__ import annotations

import os
import threading
import uuid
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from clouditia_jupyter.values import handover
from clouditia_jupyter.values.parcel import pack
from clouditia_jupyter.values.sections import size_of
from tests.platform.pod.conftest import RunningPod
from tests.platform.pod.couriers import Memory, busy, fetch, held_parcels, put


def test_there_and_back(pod: RunningPod, ways: Any) -> None:
    array = np.arange(500_000.0)
    assert put(pod, ways, there={"a": [1, None]}, big=array) == {"success": True}
    # what came is the session's own: it can be changed
    assert (
        pod.text("big[0] = 7\nprint(there, big.sum())") == f"{{'a': [1, None]}} {array.sum() + 7}\n"
    )
    values = fetch(pod, ways, "there", "big")
    assert values["there"] == {"a": [1, None]}
    assert values["big"][0] == 7
    np.testing.assert_array_equal(values["big"][1:], array[1:])


def test_all_values_arrive_or_none(pod: RunningPod, ways: Any) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    pod.run("first = second = 'before'")
    assert "no number" in put(pod, ways, first=1, second=Bad())["refused"]
    assert pod.text("print(first, second)") == "before before\n"


def test_a_missing_name_lists_near_ones(pod: RunningPod, ways: Any) -> None:
    pod.run("accuracy = 1")
    assert "accuracy" in fetch(pod, ways, "acuracy")


def test_what_needs_pickle_comes_only_when_allowed(pod: RunningPod, ways: Any) -> None:
    pod.run("class Thing:\n    def __reduce__(self): return str, ('unpickled',)\nthing = Thing()")
    refused = fetch(pod, ways, "thing")
    assert "--trust-pickle" in refused
    assert "to_numpy" in refused
    assert fetch(pod, ways, "thing", allow_pickle=True) == {"thing": "unpickled"}


def test_a_function_goes_up(pod: RunningPod, ways: Any) -> None:
    def double(x: int) -> int:
        return 2 * x

    put(pod, ways, double=double)
    assert pod.text("print(double(21))") == "42\n"


def test_only_identifiers_are_names(pod: RunningPod) -> None:
    wanted = {"names": ["__import__('os')"], "parcel": "a" * 32}
    assert pod.client.post("/api/values/fetch/", json=wanted).status_code == 400
    wanted = {"names": ["a"], "parcel": "../../etc"}
    assert pod.client.post("/api/values/fetch/", json=wanted).status_code == 400


def test_a_value_leaves_no_file_and_no_descriptor_behind(pod: RunningPod, ways: Any) -> None:
    code = "import os; print(sorted(n for n in os.listdir(os.environ['IPYTHONDIR'] + '/..')))"
    process = psutil.Process(pod.process.pid)

    def once() -> tuple[str, int]:
        put(pod, ways, passing=b"x" * 3_000_000)
        fetch(pod, ways, "passing")
        return pod.text(code), process.num_fds()

    once()
    before = once()
    for _ in range(5):
        assert once() == before


def test_a_value_too_big_for_the_session_is_refused(pod: RunningPod) -> None:
    *small, big = pack({"huge": np.zeros(3 << 30, "u1")}, allow_pickle=False)
    fd = handover.memory()
    handover.write(fd, small)
    # zeros that nobody has to write
    os.ftruncate(fd, size_of(small) + size_of([big]))
    handover.seal(fd)
    parcel = uuid.uuid4().hex
    with handover.Counter(Memory(pod).path) as counter:
        counter.offer(parcel, fd)
        os.close(fd)
        answer = pod.client.post("/api/values/", json={"parcel": parcel}).json()
    assert "not enough memory" in answer["refused"]
    assert pod.text("print('huge' in globals())") == "False\n"


def test_a_retry_binds_once_and_says_so(pod: RunningPod, ways: Any) -> None:
    parcel = uuid.uuid4().hex
    with ways.sent(parcel, pack({"once": 1}, allow_pickle=True)):
        assert pod.client.post("/api/values/", json={"parcel": parcel}).json() == {"success": True}
        pod.run("once = 2")
        assert pod.client.post("/api/values/", json={"parcel": parcel}).json() == {"success": True}
    assert pod.text("print(once)") == "2\n"
    gone = pod.client.post("/api/values/", json={"parcel": uuid.uuid4().hex})
    assert gone.status_code == 400
    assert "Send it again" in gone.json()["error"]


def test_values_wait_for_the_cell_that_runs(pod: RunningPod, ways: Any) -> None:
    pod.run("late = 'before'")
    _, end = busy(pod)
    answers: list[Any] = []
    sender = threading.Thread(target=lambda: answers.append(put(pod, ways, late="after")))
    sender.start()
    end()
    sender.join()
    assert answers == [{"success": True}]
    assert pod.text("print(late)") == "after\n"


def test_who_leaves_while_values_wait_changes_nothing(pod: RunningPod, ways: Any) -> None:
    pod.run("late = 'before'")
    _, end = busy(pod)
    parcel = uuid.uuid4().hex
    with (
        ways.sent(parcel, pack({"late": "after"}, allow_pickle=True)),
        pytest.raises(httpx.ReadTimeout),
    ):
        pod.client.post("/api/values/", json={"parcel": parcel}, timeout=0.3)
    while held_parcels(pod):  # the pod hears of it at once
        pass
    end()
    assert pod.text("print(late)") == "before\n"
