"""A clock that tests turn, and what seems to be a service and a pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from clouditia_jupyter.client import GPUManager
from tests.client.seeming_pod import Pod
from tests.client.seeming_service import ACCOUNT_KEY, Service
from tests.client.turned_clock import TurnedClock

MIXED = [{"type": "nvidia-rtx-3090", "count": 1}, {"type": "nvidia-rtx-4090", "count": 1}]


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture
def service(clock: TurnedClock) -> Service:
    return Service(clock)


@pytest.fixture
def make_pod() -> Iterator[Callable[[], Pod]]:
    pods: list[Pod] = []

    def make() -> Pod:
        pods.append(Pod())
        return pods[-1]

    yield make
    for pod in pods:
        pod.close()


@pytest.fixture
def pod(make_pod: Callable[[], Pod]) -> Pod:
    return make_pod()


@pytest.fixture
def manager(service, clock):
    return GPUManager(ACCOUNT_KEY, http_transport=httpx.MockTransport(service), clock=clock)


@pytest.fixture
def keyed(service, clock):
    service.capabilities = ["idempotency", "wait"]
    return GPUManager(ACCOUNT_KEY, http_transport=httpx.MockTransport(service), clock=clock)


@pytest.fixture
def one(manager):
    return manager.create_session("nvidia-rtx-3090", verbose=False)


def unavailable(request):
    return httpx.Response(503, text="<html>restarting</html>")
