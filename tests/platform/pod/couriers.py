"""The ways on which parcels come to a pod and go, and what tests do with them."""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from clouditia_jupyter.values import handover
from clouditia_jupyter.values.parcel import File, pack, unpack

if TYPE_CHECKING:
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
