"""Finding the platform of this machine: stale files, folders and children that fail."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from clouditia_jupyter.config import Settings
from clouditia_jupyter.errors import ConfigurationError, ConnectionFailedError
from clouditia_jupyter.notebook import starter

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk_compute_secret"


def leave_file(folder: Path, port: int) -> None:
    ready = {
        "computing_url": f"http://127.0.0.1:{port}/jobs",
        "code_editor_url": f"http://127.0.0.1:{port}/code-editor",
        "api_key": KEY,
        "pid": os.getpid(),
    }
    (folder / "platform.json").write_text(json.dumps(ready))


@pytest.fixture
def listener() -> socket.socket:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_nothing_is_found_in_an_empty_folder(tmp_path: Path) -> None:
    assert starter.find(tmp_path) is None
    assert starter.find(tmp_path / "missing") is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"computing_url": "x"}', "not json"])
def test_a_broken_file_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "platform.json").write_text(text)
    assert starter.find(tmp_path) is None


def test_what_listens_is_found_and_its_key_is_not_in_the_repr(
    tmp_path: Path, listener: socket.socket
) -> None:
    leave_file(tmp_path, listener.getsockname()[1])
    service = starter.find(tmp_path)
    assert service is not None
    assert service.local
    assert service.api_key == KEY
    assert KEY not in repr(service)
    assert starter.find(tmp_path, besides=service) is None


def test_a_file_of_a_process_that_is_gone_is_stale(tmp_path: Path, listener: socket.socket) -> None:
    leave_file(tmp_path, listener.getsockname()[1])
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = tmp_path / "platform.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pid": gone.pid}))
    assert starter.find(tmp_path) is None


def test_a_file_that_a_killed_platform_left_is_stale(
    tmp_path: Path, listener: socket.socket
) -> None:
    port = listener.getsockname()[1]
    listener.close()
    leave_file(tmp_path, port)
    assert starter.find(tmp_path) is None


def test_a_child_that_fails_says_why_and_where_the_log_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "python"
    child.write_text(
        f"#!{sys.executable}\n"
        "import sys\n"
        f'print(\'{{"api_key": "{KEY}"}}\')\n'
        "print('Traceback', file=sys.stderr)\n"
        "print('OSError: no room left', file=sys.stderr)\n"
        "sys.exit(1)\n"
    )
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    with pytest.raises(ConnectionFailedError) as caught:
        starter.find_or_start(tmp_path / "state")
    log = tmp_path / "state" / "platform.log"
    assert str(caught.value) == (
        f"The platform of this machine did not start: OSError: no room left. Its log is {log}."
    )
    assert log.stat().st_mode & 0o777 == 0o600
    assert log.parent.stat().st_mode & 0o777 == 0o700


def test_a_silent_failure_shows_no_ready_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "python"
    child.write_text(f'#!{sys.executable}\nprint(\'{{"api_key": "{KEY}"}}\')\n')
    child.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(child))
    with pytest.raises(ConnectionFailedError, match="it said nothing") as caught:
        starter.find_or_start(tmp_path / "state")
    assert KEY not in str(caught.value)


def test_one_is_started_while_another_is_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pid() -> int:
        return int(json.loads((tmp_path / "platform.json").read_text())["pid"])

    starter.find_or_start(tmp_path)
    ending = pid()
    os.kill(ending, signal.SIGSTOP)
    os.kill(ending, signal.SIGTERM)
    (tmp_path / "platform.json").unlink()
    # it goes on as soon as the next one has been started
    monkeypatch.setattr(starter, "import_module", lambda _name: os.kill(ending, signal.SIGCONT))
    starter.find_or_start(tmp_path)
    assert pid() != ending
    os.kill(pid(), signal.SIGTERM)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="CLOUDITIA_STATE"):
        starter.find_or_start(tmp_path / "file" / "state")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ConfigurationError, match="CLOUDITIA_STATE"):
        starter.find_or_start(tmp_path / "state")


def test_settings_name_the_service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("API_KEY", "BASE_URL", "EDITOR_URL", "STATE"):
        monkeypatch.delenv(f"CLOUDITIA_{name}", raising=False)
    settings = Settings()
    assert settings.remote_service() is None
    assert settings.state_folder().name == "clouditia_jupyter"
    monkeypatch.setenv("CLOUDITIA_STATE", str(tmp_path))
    assert settings.state_folder() == tmp_path

    monkeypatch.setenv("CLOUDITIA_API_KEY", KEY)
    service = settings.remote_service()
    assert service is not None
    assert service.computing_url == "https://clouditia.com/jobs"
    assert service.editor_url == "https://clouditia.com/code-editor"

    settings.base_url = "http://gpu.example:8000/jobs/"
    service = settings.remote_service()
    assert service is not None
    assert service.computing_url == "http://gpu.example:8000/jobs"
    # never another host's
    assert service.editor_url == "http://gpu.example:8000/code-editor"


def test_an_address_without_a_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLOUDITIA_API_KEY", raising=False)
    monkeypatch.setenv("CLOUDITIA_BASE_URL", "http://127.0.0.1:1/jobs")
    with pytest.raises(ConfigurationError, match="set CLOUDITIA_API_KEY"):
        Settings().remote_service()
