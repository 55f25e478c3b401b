"""What goes away under a notebook: the platform, a session, a key; and what is said then."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import psutil
import pytest

from clouditia_jupyter import errors
from clouditia_jupyter.models import Event, GPUSession
from clouditia_jupyter.notebook import starter
from clouditia_jupyter.notebook.render import Renderer
from tests.notebook.conftest import manager_for
from tests.notebook.gate import Gate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.notebook.conftest import Local, Shell


def kill_platform(folder: Path) -> None:
    """Kill a platform as ``kill -9`` does, and return once it is gone."""
    process = psutil.Process(pid_of(folder))
    process.kill()
    psutil.wait_procs([process])


def pid_of(folder: Path) -> int:
    return int(json.loads((folder / "platform.json").read_text())["pid"])


def run(shell: Shell, code: str, line: str = "") -> Any:
    return shell.run(f"%%clouditia_run {line}\n{code}")


def running(shell: Shell, manager: Any, name: str) -> GPUSession:
    session = manager.create_session("nvidia-rtx-3060ti", verbose=False)
    shell.run(f"%clouditia rename {session.short_id} {name}")
    shell.run(f"%clouditia use {name}")
    return manager.get_session(session)


def test_two_notebooks_that_start_at_once_share_one_platform(
    own_state: tuple[Shell, Path],
) -> None:
    _, folder = own_state
    code = (
        "import sys; from pathlib import Path; from clouditia_jupyter.notebook import starter\n"
        "print(starter.find_or_start(Path(sys.argv[1])).computing_url)"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    urls = {child.communicate()[0] for child in children}
    assert len(urls) == 1
    assert [child.returncode for child in children] == [0, 0, 0]


@pytest.mark.both_paths
def test_a_killed_platform_comes_back_with_the_session_and_its_variables(
    own_state: tuple[Shell, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    shell, folder = own_state
    shell.run("%clouditia create --gpu nvidia-rtx-3060ti --name lasting")
    run(shell, "kept = 41")
    kill_platform(folder)
    # the first command finds that out, and starts it again
    shell.run("%clouditia")
    out = capsys.readouterr().out
    assert "lasting" in out
    assert "current" in out
    run(shell, "print(kept + 1)")
    assert capsys.readouterr().out == "42\n"


@pytest.mark.both_paths
def test_a_platform_killed_in_mid_cell_loses_no_line(
    own_state: tuple[Shell, Path],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shell, folder = own_state
    shell.run("%clouditia create --gpu nvidia-rtx-3060ti --name lasting")
    capsys.readouterr()
    gate = Gate()

    def kill_and_start() -> None:
        begun.wait()
        # at the same address, as a service that restarts is
        port = urlsplit(starter.find_or_start(folder).computing_url).port
        monkeypatch.setattr(starter, "OPTIONS", (*starter.OPTIONS, "--port", str(port)))
        kill_platform(folder)
        starter.find_or_start(folder)
        gate.open()

    begun = threading.Event()
    show = Renderer.show

    def shown(self: Renderer, event: Event) -> None:
        begun.set()
        show(self, event)

    monkeypatch.setattr(Renderer, "show", shown)
    killer = threading.Thread(target=kill_and_start)
    killer.start()
    # the cell ends only once the new platform is there
    with gate:
        run(
            shell,
            "import threading, time\nn = 0\n"
            f"def wait():\n    {gate.code.strip().replace(chr(10), chr(10) + '    ')}\n"
            "waiting = threading.Thread(target=wait)\nwaiting.start()\n"
            "while waiting.is_alive():\n    print(n); n += 1; time.sleep(0.01)\nprint('end')",
        )
    killer.join()
    lines = capsys.readouterr().out.split()
    assert lines[-1] == "end"
    assert lines[:-1] == [str(n) for n in range(len(lines) - 1)]


@pytest.mark.both_paths
def test_a_session_that_was_stopped_elsewhere_is_said_with_the_next_step(local: Local) -> None:
    shell, manager = local
    session = running(shell, manager, "shared")
    run(shell, "1")
    manager.stop_session(session, verbose=False)
    with pytest.raises(errors.SessionStateError, match=r"shared .* is stopped.*%clouditia create"):
        run(shell, "1")
    # and the stale one is dropped
    with pytest.raises(errors.SessionNotFoundError, match="%clouditia create"):
        run(shell, "1")


@pytest.mark.both_paths
def test_a_session_that_is_stopped_in_mid_cell_is_said(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, manager = local
    session = running(shell, manager, "cut")
    begun = threading.Event()
    monkeypatch.setattr(Renderer, "show", lambda _self, _event: begun.set())

    def stop_it() -> None:
        begun.wait()
        manager.stop_session(session, verbose=False)

    stopper = threading.Thread(target=stop_it)
    stopper.start()
    with pytest.raises(errors.ClouditiaError, match=r"cut .* is (stopped|stopping)") as caught:
        run(shell, "import time\nprint('begun', flush=True)\ntime.sleep(600)")
    stopper.join()
    assert isinstance(caught.value, (errors.SessionLostError, errors.SessionStateError))


@pytest.mark.both_paths
def test_a_session_lost_while_another_runs_is_replaced_by_use(
    local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    shell, manager = local
    gone, other = running(shell, manager, "gone"), running(shell, manager, "other")
    assert gone.id != other.id
    run(shell, "print('there')", "--session other")
    manager.stop_session(other, verbose=False)
    with pytest.raises(errors.SessionStateError, match="is stopped"):
        run(shell, "1", "--session other")
    shell.run("%clouditia use gone")
    capsys.readouterr()
    run(shell, "print('here')")
    assert capsys.readouterr().out == "here\n"


@pytest.mark.both_paths
def test_a_key_that_is_no_good_any_more_is_made_again(
    local: Local, capsys: pytest.CaptureFixture[str]
) -> None:
    from clouditia_jupyter import LiveSession

    shell, manager = local
    session = running(shell, manager, "rekeyed")
    connection = shell.ip.magics_manager.registry["ClouditiaMagics"]._parts()[0].connection
    connection._lives[session.id] = LiveSession(
        "sk_live_" + "0" * 40, connection.service.editor_url
    )
    capsys.readouterr()
    run(shell, "print('once')")
    assert capsys.readouterr().out == "once\n"


@pytest.mark.parametrize("key", ["", "nonsense", "sk_compute_" + "0" * 40])
def test_an_account_key_that_is_no_good(
    local: Local, state: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    shell, _ = local
    service = starter.find(state)
    assert service is not None
    monkeypatch.setenv("CLOUDITIA_BASE_URL", service.computing_url)
    monkeypatch.setenv("CLOUDITIA_API_KEY", key)
    expected = errors.AuthenticationError if key else errors.ConfigurationError
    with pytest.raises(expected) as caught:
        shell.run("%clouditia")
    assert not key or key not in str(caught.value)


@pytest.mark.both_paths
def test_the_same_platform_by_its_address_and_key(
    local: Local, state: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell, manager = local
    running(shell, manager, "remote")
    service = starter.find(state)
    assert service is not None
    monkeypatch.setenv("CLOUDITIA_BASE_URL", service.computing_url)
    monkeypatch.setenv("CLOUDITIA_EDITOR_URL", service.editor_url)
    monkeypatch.setenv("CLOUDITIA_API_KEY", service.api_key)
    capsys.readouterr()
    shell.run("%clouditia")
    assert service.computing_url in capsys.readouterr().out
    run(shell, "print('hello')")
    assert capsys.readouterr().out == "hello\n"


def test_nothing_at_a_remote_address(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUDITIA_BASE_URL", "http://127.0.0.1:9/jobs")
    monkeypatch.setenv("CLOUDITIA_API_KEY", "sk_compute_" + "0" * 40)
    with pytest.raises(errors.ConnectionFailedError, match=r"127\.0\.0\.1:9"):
        shell.run("%clouditia")


def test_an_interrupt_while_creating_says_how_to_stop_it(
    local: Local, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from clouditia_jupyter.notebook.lifecycle import _Progress

    shell, manager = local
    show = _Progress.__call__

    def interrupted(self: Any, session: GPUSession) -> None:
        show(self, session)
        raise KeyboardInterrupt

    monkeypatch.setattr(_Progress, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shell.run("%clouditia create --gpu nvidia-rtx-3060ti")
    live = [s for s in manager.list_sessions() if s.status in ("pending", "creating", "running")]
    (session,) = live
    assert f"%clouditia stop {session.short_id}" in capsys.readouterr().out


def test_a_stranger_on_the_port_of_a_killed_platform(own_state: tuple[Shell, Path]) -> None:
    shell, folder = own_state
    shell.run("%clouditia")
    ready = json.loads((folder / "platform.json").read_text())
    kill_platform(folder)
    code = (
        "import http.server, sys\n"
        "class Handler(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_error(404)\n"
        "server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n"
        "print(server.server_port, flush=True)\n"
        "server.serve_forever()\n"
    )
    stranger = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert stranger.stdout is not None
        port = int(stranger.stdout.readline())
        url = f"http://127.0.0.1:{port}/jobs"
        moved = {**ready, "computing_url": url, "pid": stranger.pid}
        (folder / "platform.json").write_text(json.dumps(moved))
        shell.run("%clouditia")
        assert pid_of(folder) not in (ready["pid"], stranger.pid)
        with manager_for(starter.find_or_start(folder)) as manager:
            assert manager.user["username"]
    finally:
        stranger.kill()
        stranger.communicate()
