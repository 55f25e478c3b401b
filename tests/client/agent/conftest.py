"""A session on a service that has persistent namespaces and no more, and its network."""

from __future__ import annotations

import json

import httpx
import pytest

from clouditia_jupyter.client import GPUManager, LiveSession

EXEC = "/api/session/exec/"


class Wire(httpx.BaseTransport):
    """The network, recorded; a test may lose or shorten what comes back."""

    def __init__(self):
        self.network = httpx.HTTPTransport(trust_env=False)
        self.sent = []
        self.lose = iter(())
        self.longest = None

    def handle_request(self, request):
        self.sent.append((request.url.path.partition("/code-editor")[2], request.read()))
        response = self.network.handle_request(request)
        if not request.url.path.endswith(EXEC):
            return response
        body = response.read()
        if next(self.lose, False):
            raise httpx.ReadError("the answer was lost")
        answer = json.loads(body)
        if self.longest is not None and len(answer.get("output") or "") > self.longest:
            answer["output"] = answer["output"][: self.longest]
            return httpx.Response(200, json=answer)
        return httpx.Response(response.status_code, content=body)

    def bodies(self, path):
        return [json.loads(body) for sent_to, body in self.sent if sent_to == path]

    def close(self):
        self.network.close()


@pytest.fixture(scope="module")
def session(stock_platform):
    where = stock_platform.where
    with GPUManager(where["api_key"], where["computing_url"]) as manager:
        made = manager.create_session("nvidia-rtx-3090", vcpu=1, ram=2, storage=1, verbose=False)
        yield manager.generate_sdk_key(made), where["code_editor_url"]
        manager.stop_session(made, verbose=False)


@pytest.fixture(scope="module")
def shared(session):
    with LiveSession(*session) as live:
        yield live


@pytest.fixture
def live(shared):
    """A session whose cells have run nothing yet."""
    shared.restart_kernel()
    return shared


@pytest.fixture
def wire(session):
    made = Wire()
    yield made
    made.close()


@pytest.fixture
def wired(session, wire):
    with LiveSession(*session, http_transport=wire) as live:
        yield live


def text(events, name="stdout"):
    streams = [e.content for e in events if e.type == "stream"]
    return "".join(content["text"] for content in streams if content["name"] == name)


def until(marker):
    """Code that goes on once a shell command makes the file ``marker``."""
    return f"import os, time\nwhile not os.path.exists({marker!r}):\n    time.sleep(0.01)\n"
