"""Variables put into and fetched from a real kernel, over HTTP and handed over in memory."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest

from clouditia_jupyter.values import handover
from clouditia_jupyter.values.parcel import File, pack, unpack
from clouditia_jupyter.values.sections import size_of
from tests.platform.pod.conftest import RunningPod


class HTTP:
    """Moves parcels as a client elsewhere does."""

    def __init__(self, pod: RunningPod) -> None:
        self._client = pod.client

    @contextlib.contextmanager
    def sent(self, parcel: str, parts: list[Any]) -> Any:
        answer = self._client.put(f"/api/parcels/{parcel}", content=b"".join(parts))
        assert answer.json() == {"success": True}
        yield

    def received(self, parcel: str) -> bytes:
        answer = self._client.get(f"/api/parcels/{parcel}")
        assert answer.status_code == 200, answer.text
        return answer.content

    def close(self) -> None:
        pass


class Port(HTTP):
    """Moves parcels as a client on the same machine does that is somebody else's."""

    def __init__(self, pod: RunningPod) -> None:
        number = pod.client.get("/pod/counter/").json()["port"]
        url = f"http://127.0.0.1:{number}"
        self._client = httpx.Client(base_url=url, headers=pod.client.headers, timeout=60)

    def close(self) -> None:
        self._client.close()


class Memory:
    """Moves parcels as a client on the same machine does."""

    def close(self) -> None:
        pass

    def __init__(self, pod: RunningPod) -> None:
        self.path = pod.client.get("/pod/counter/").json()["path"]

    @contextlib.contextmanager
    def sent(self, parcel: str, parts: list[Any]) -> Any:
        with handover.Counter(self.path) as counter:
            fd = handover.sealed(parts)
            counter.offer(parcel, fd)
            os.close(fd)
            yield

    def received(self, parcel: str) -> bytes:
        with handover.Counter(self.path) as counter:
            fd = counter.take(parcel)
        assert fd is not None
        with os.fdopen(fd, "rb") as file:
            return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0)


@pytest.fixture(params=[HTTP, Port, Memory])
def ways(request: pytest.FixtureRequest, pod: RunningPod) -> Iterator[Any]:
    made = request.param(pod)
    yield made
    made.close()


def put(pod: RunningPod, ways: Any, **values: object) -> dict[str, Any]:
    parcel = uuid.uuid4().hex
    with ways.sent(parcel, pack(values, allow_pickle=True)):
        answer: dict[str, Any] = pod.client.post("/api/values/", json={"parcel": parcel}).json()
        return answer


def fetch(pod: RunningPod, ways: Any, *names: str, **options: Any) -> Any:
    wanted = {"names": names, "parcel": uuid.uuid4().hex, **options}
    answer = pod.client.post("/api/values/fetch/", json=wanted)
    assert answer.status_code == 200, answer.text
    if "refused" in answer.json():
        return answer.json()["refused"]
    data = ways.received(wanted["parcel"])
    fd = handover.sealed([data])
    with os.fdopen(fd, "rb"):
        return unpack(File(fd), allow_pickle=bool(options))


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


def held_parcels(pod: RunningPod) -> int:
    """Return how many parcels the pod has."""
    links = []
    for fd in Path(f"/proc/{pod.process.pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(str(fd.readlink()))
    return sum("memfd:clouditia" in link for link in links)


def busy(pod: RunningPod) -> tuple[str, Callable[[], None]]:
    """Start a run that ends when it is told to; return its id, and what tells it."""
    run_id = uuid.uuid4().hex
    begun, end = uuid.uuid4().hex, uuid.uuid4().hex
    code = (
        f"import os, time\nopen({begun!r}, 'w').close()\n"
        f"while not os.path.exists({end!r}): time.sleep(0.01)"
    )
    threading.Thread(target=pod.run, args=(code,), kwargs={"run_id": run_id}, daemon=True).start()
    workspace = pod.folder / "workspace"
    while not (workspace / begun).exists():
        pass
    return run_id, (workspace / end).touch


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


def test_a_run_binds_what_it_brings_when_its_turn_comes(pod: RunningPod, ways: Any) -> None:
    pod.run("x = 'first'")
    _, end = busy(pod)
    said: dict[str, Any] = {}
    turns = [threading.Thread(target=lambda: said.update(early=pod.run("print(x)")))]
    turns[0].start()
    while len(queued(pod)) < 1:
        pass
    parcel, run_id = uuid.uuid4().hex, uuid.uuid4().hex
    brings = {"code": "print(x)", "parcel": parcel, "run_id": run_id}
    with (
        ways.sent(parcel, pack({"x": "second"}, allow_pickle=True)),
        pod.client.stream("POST", "/api/runs/", json=brings) as answer,
    ):
        assert answer.status_code == 200  # at once, though another cell runs
    assert queued(pod)[0]["run_id"] == run_id
    end()
    turns[0].join()
    assert said["early"][0]["content"]["text"] == "first\n"
    assert pod.run("", run_id=run_id)[0]["content"]["text"] == "second\n"
    assert held_parcels(pod) == 0


def test_a_run_whose_values_are_refused_does_not_run(pod: RunningPod, ways: Any) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    pod.run("x = 'before'")
    parcel = uuid.uuid4().hex
    with ways.sent(parcel, pack({"x": 1, "bad": Bad()}, allow_pickle=True)):
        error, done = pod.run("x = 'ran'", parcel=parcel)
    assert error["content"]["ename"] == "ValueTransferError"
    assert "no number" in error["content"]["evalue"]
    assert (done["content"]["status"], done["content"]["refused"]) == ("error", True)
    assert pod.text("print(x)") == "before\n"


def test_a_run_without_its_parcel_does_not_begin(pod: RunningPod) -> None:
    body = {"code": "1", "parcel": uuid.uuid4().hex, "run_id": uuid.uuid4().hex}
    gone = pod.client.post("/api/runs/", json=body)
    assert gone.status_code == 400
    assert "Send it again" in gone.json()["error"]
    assert pod.client.get(f"/api/runs/{body['run_id']}/events/").status_code == 404


@pytest.mark.parametrize("way", ["interrupt", "restart"])
def test_nothing_stays_of_what_a_run_brings_that_never_runs(
    pod: RunningPod, ways: Any, way: str
) -> None:
    running, _ = busy(pod)
    parcel, run_id = uuid.uuid4().hex, uuid.uuid4().hex
    with (
        ways.sent(parcel, pack({"x": "second"}, allow_pickle=True)),
        pod.client.stream("POST", "/api/runs/", json={"parcel": parcel, "run_id": run_id}),
    ):
        pass
    assert held_parcels(pod) == 1
    if way == "interrupt":
        pod.client.post(f"/api/runs/{run_id}/interrupt/")
        pod.client.post(f"/api/runs/{running}/interrupt/")
    else:
        pod.client.post("/api/kernel/restart/", json={})
    assert pod.run("", run_id=run_id)[-1]["content"]["status"] == "lost"
    while held_parcels(pod):
        pass


def queued(pod: RunningPod) -> list[dict[str, Any]]:
    runs = pod.client.get("/api/runs/").json()["runs"]
    return [run for run in runs if run["status"] == "queued"]


def test_the_port_for_parcels_lets_in_only_who_knows_the_token(pod: RunningPod) -> None:
    number = pod.client.get("/pod/counter/").json()["port"]
    url = f"http://127.0.0.1:{number}/api/parcels/{'d' * 32}"
    assert httpx.get(url).status_code == 401
    assert httpx.put(url, content=b"x" * 10).status_code == 401
    headers = dict(pod.client.headers)
    assert httpx.get(url, headers=headers).status_code == 400
    assert httpx.get(f"http://127.0.0.1:{number}/pod/stop/", headers=headers).status_code == 404
    assert pod.client.get(f"/api/parcels/{'d' * 32}").status_code == 400


@pytest.mark.parametrize("to_port", [False, True])
def test_half_a_parcel_is_no_parcel(pod: RunningPod, to_port: bool) -> None:
    number = pod.client.get("/pod/counter/").json()["port"]
    port = number if to_port else pod.client.base_url.port
    request = (
        f"PUT /api/parcels/{'e' * 32} HTTP/1.1\r\nHost: pod\r\nContent-Length: 1000\r\n"
        f"Authorization: {pod.client.headers['Authorization']}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request.encode() + b"x" * 500)
        while not held_parcels(pod):  # it has begun to arrive
            pass
    while held_parcels(pod):
        pass
    assert pod.client.get(f"/api/parcels/{'e' * 32}").status_code == 400


# Handing over: what is refused, and what is left where somebody is killed


def test_memory_that_could_change_is_refused(pod: RunningPod) -> None:
    way = Memory(pod)
    with handover.Counter(way.path) as counter:
        fd = handover.memory()
        os.write(fd, b"changing")
        with pytest.raises(handover.NoHandoverError):
            counter.offer("a" * 32, fd)
        os.close(fd)
    with pytest.raises(Exception, match="not sealed"):
        handover.check(os.open(__file__, os.O_RDONLY))


def test_a_socket_of_somebody_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(handover.NoHandoverError):
        handover.Counter(str(tmp_path / "none"))
    with pytest.raises(handover.NoHandoverError):
        handover.Counter("/run/docker.sock")
    (tmp_path / "file").touch()
    with pytest.raises(handover.NoHandoverError):
        handover.Counter(str(tmp_path / "file"))


_OFFERS = """
import os, sys
from clouditia_jupyter.values.handover import Counter, sealed
counter = Counter(sys.argv[1])
counter.offer("c" * 32, sealed([b"x" * 50_000_000]))
print("offered", flush=True)
sys.stdin.read()
"""


def test_nothing_stays_of_a_client_that_is_killed(pod: RunningPod) -> None:
    way = Memory(pod)
    client = subprocess.Popen(
        [sys.executable, "-c", _OFFERS, way.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"offered\n"
        assert held_parcels(pod) == 1
        client.kill()
    while held_parcels(pod):  # the pod hears of it at once
        pass
    with handover.Counter(way.path) as counter:
        assert counter.take("c" * 32) is None


@pytest.mark.parametrize("victim", ["pod", "kernel"])
def test_nothing_stays_of_a_session_that_is_killed(fresh_pod: RunningPod, victim: str) -> None:
    way = Memory(fresh_pod)
    put(fresh_pod, way, big=np.zeros(10_000_000))
    wanted = {"names": ["big"], "parcel": uuid.uuid4().hex}
    fresh_pod.client.post("/api/values/fetch/", json=wanted)
    family = psutil.Process(fresh_pod.process.pid).children(recursive=True)
    if victim == "kernel":
        for process in family:
            process.kill()
        # what it left at the counter is whole
        assert len(way.received(wanted["parcel"])) > 80_000_000
    os.kill(fresh_pod.process.pid, signal.SIGKILL)
    fresh_pod.process.wait()
    # memory without a name ends with those who hold it
    assert psutil.wait_procs(family)[1] == []
    left = [path for path in Path(way.path).parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in left) < 1_000_000


@pytest.mark.parametrize("way", [HTTP, Port])
def test_a_parcel_that_finds_no_room_is_refused(
    fresh_pod: RunningPod, way: Callable[[RunningPod], HTTP]
) -> None:
    courier = way(fresh_pod)
    _, hard = resource.prlimit(fresh_pod.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(fresh_pod.process.pid, resource.RLIMIT_FSIZE, (1 << 20, hard))
    answer = courier._client.put(f"/api/parcels/{uuid.uuid4().hex}", content=bytes(2 << 20))
    courier.close()
    assert answer.status_code == 400
    assert "has no room for that (File too large). Send less" in answer.json()["error"]
