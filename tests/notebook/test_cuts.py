"""Connections that break at any byte, again and again: no line is lost, and none comes twice."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from clouditia_jupyter.client import events
from clouditia_jupyter.client.route import Route
from clouditia_jupyter.notebook import starter
from tests.notebook.cutting_proxy import CuttingProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.notebook.conftest import Local, Shell

LINES = 20_000
PRINT = f"for n in range({LINES}): print('line', n)"
EXPECTED = "".join(f"line {n}\n" for n in range(LINES))

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.both_paths


@pytest.fixture
def cut(
    local: Local, state: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[tuple[Shell, CuttingProxy]]:
    """Return a shell with a session, reached through a proxy that can cut connections."""
    shell, _ = local
    service = starter.find_or_start(state)
    target = urlsplit(service.computing_url).port
    assert target is not None
    with CuttingProxy(target, random.Random(request.node.name), most=30_000) as proxy:
        monkeypatch.setenv("CLOUDITIA_BASE_URL", service.computing_url)
        monkeypatch.setenv("CLOUDITIA_API_KEY", service.api_key)
        monkeypatch.setenv("CLOUDITIA_EDITOR_URL", f"http://127.0.0.1:{proxy.port}/code-editor")
        # there is a way around the proxy, straight to the pod
        monkeypatch.setattr(Route, "_learn", lambda _self, _offer: None)
        monkeypatch.setattr(events, "RESUME_PAUSES", (0.001,) * 30)
        shell.run("%clouditia create --gpu nvidia-rtx-3060ti --name far")
        shell.run("%%clouditia_run\nkept = 1")
        yield shell, proxy


def test_a_cell_loses_no_line_and_shows_none_twice(
    cut: tuple[Shell, CuttingProxy], capsys: Capture
) -> None:
    shell, proxy = cut
    capsys.readouterr()
    proxy.armed = True
    shell.run(f"%%clouditia_run\n{PRINT}\nran = globals().get('ran', 0) + 1")
    assert capsys.readouterr().out == EXPECTED
    assert proxy.cuts > 5
    proxy.armed = False
    shell.run("%%clouditia_run\nprint(ran)")  # however often it was sent
    assert capsys.readouterr().out == "1\n"


def test_a_cell_that_flushes_each_line_loses_none(
    cut: tuple[Shell, CuttingProxy], capsys: Capture
) -> None:
    shell, proxy = cut
    capsys.readouterr()
    proxy.armed = True
    flushed = PRINT.replace("n)", "n, flush=True)", 1)
    assert "flush" in flushed
    shell.run(f"%%clouditia_run\n{flushed}")
    assert capsys.readouterr().out == EXPECTED
    assert proxy.cuts > 5


def test_attach_loses_no_line_and_shows_none_twice(
    cut: tuple[Shell, CuttingProxy], capsys: Capture
) -> None:
    shell, proxy = cut
    shell.run(f"%%clouditia_run --bg\n{PRINT}")
    run_id = shell.run("%clouditia runs").index[0]
    for _ in range(3):
        capsys.readouterr()
        before = proxy.cuts
        with pytest.MonkeyPatch.context() as patch:
            # finding the run is another matter: only its stream is cut here
            attach = "clouditia_jupyter.client.live.LiveSession.attach"
            patch.setattr(attach, _arming(proxy))
            shell.run(f"%clouditia attach {run_id}")
        proxy.armed = False
        assert capsys.readouterr().out == EXPECTED
        assert proxy.cuts > before + 2


def _arming(proxy: CuttingProxy) -> object:
    from clouditia_jupyter.client.live import LiveSession

    attach = LiveSession.attach

    def armed(self: LiveSession, run_id: str, after: int = 0) -> events.EventStream:
        proxy.armed = True
        return attach(self, run_id, after)

    return armed
