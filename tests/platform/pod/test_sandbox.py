"""What a session sees of its machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clouditia_jupyter.platform.pod.sandbox import WORKSPACE, Sandbox, find_bwrap
from tests.platform.pod.conftest import RunningPod

fenced = pytest.mark.skipif(find_bwrap() is None, reason="bubblewrap is not installed")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A platform's state folder: its key, and another session's secret."""
    state = tmp_path_factory.mktemp("state")
    (state / "account.key").write_text("the platform's key")
    other = state / "pods" / "other"
    other.mkdir(parents=True)
    (other / "secret").write_text("another session's")
    return state


@pytest.fixture(scope="module")
def fenced_pod(state: Path) -> Iterator[RunningPod]:
    own = state / "pods" / "own"
    own.mkdir()
    running = RunningPod(own, state).assign()
    yield running
    running.close()


@fenced
def test_the_folder_is_where_clouditia_code_expects_it(fenced_pod: RunningPod) -> None:
    code = "import os; print(os.getcwd(), os.environ['HOME']); open('mine.txt', 'w').write('x')"
    assert fenced_pod.text(code).startswith(f"{WORKSPACE} {WORKSPACE}\n")
    assert (fenced_pod.folder / "workspace" / "mine.txt").read_text() == "x"


@fenced
def test_state_keys_and_other_sessions_are_out_of_sight(
    fenced_pod: RunningPod, state: Path
) -> None:
    code = f"import pathlib; print([str(p) for p in pathlib.Path({str(state)!r}).rglob('*')])"
    assert fenced_pod.text(code) == "[]\n"
    listing = fenced_pod.client.post("/api/shell/", json={"command": f"ls -A {state}"}).json()
    assert listing["output"] == ""


@fenced
def test_the_pod_s_own_process_is_out_of_sight(fenced_pod: RunningPod) -> None:
    code = "import os; print([p for p in os.listdir('/proc') if p.isdigit()] and os.getpid())"
    assert int(fenced_pod.text(code)) < 100
    code = f"import os; print(os.path.exists('/proc/{fenced_pod.process.pid}/environ'))"
    assert fenced_pod.text(code) == "False\n"


def test_no_setting_of_the_platform_reaches_a_session() -> None:
    sandbox = Sandbox(Path("/s"), Path("/t"), Path("/r"), (), None)
    inherited = {"CLOUDITIA_API_KEY": "sk_compute_x", "JPY_PARENT_PID": "1", "LANG": "C.UTF-8"}
    environment = sandbox.environment(inherited)
    assert "CLOUDITIA_API_KEY" not in environment
    assert "JPY_PARENT_PID" not in environment
    assert environment["LANG"] == "C.UTF-8"
    assert environment["HOME"] == "/s"


def test_without_bubblewrap_the_folder_is_the_home() -> None:
    sandbox = Sandbox(Path("/s"), Path("/t"), Path("/r"), (Path("/state"),), None)
    assert sandbox.workspace == Path("/s")
    assert sandbox.command(["python"]) == ["python"]


@fenced
def test_temporary_files_are_the_session_s_own(fenced_pod: RunningPod, tmp_path: Path) -> None:
    (tmp_path / "others").write_text("secret")
    code = f"import os, tempfile; print(os.path.exists({str(tmp_path / 'others')!r}))"
    assert fenced_pod.text(code) == "False\n"
    assert fenced_pod.text("print(tempfile.mkstemp(suffix='.mine')[1])").startswith("/tmp/")
    (mine,) = (fenced_pod.folder / "tmp").glob("*.mine")
    shared = fenced_pod.client.post("/api/shell/", json={"command": "ls /tmp/*.mine"}).json()
    assert shared["output"] == f"/tmp/{mine.name}\n"


def test_a_python_in_tmp_stays_in_sight_and_a_state_within_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    python, state, elsewhere = Path("/tmp/x/python"), Path("/tmp/x/python/state"), Path("/tmp/y")
    monkeypatch.setattr(sys, "prefix", str(python))
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    fence = Sandbox(Path("/s"), Path("/t"), Path("/r"), (state, elsewhere), ("bwrap",)).command([])
    words = " ".join(fence)
    order = ["--bind /t /tmp", f"--ro-bind {python} {python}", f"--tmpfs {state}", "--bind /r /r"]
    places = [words.index(part) for part in order]
    assert places == sorted(places)
    assert str(elsewhere) not in words


@fenced
def test_the_folder_that_the_platform_was_started_in_is_out_of_sight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # below /tmp, as a notebook's may be
    running = RunningPod(tmp_path).assign()
    assert running.text(f"import os; print(os.path.exists({str(tmp_path)!r}))") == "False\n"
    running.close()
