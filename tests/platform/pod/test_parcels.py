"""Parcels themselves: who may send one, and what is left where somebody is killed."""

from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from clouditia_jupyter.values import handover
from tests.platform.pod.conftest import RunningPod
from tests.platform.pod.couriers import HTTP, Memory, Port, held_parcels, put


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
