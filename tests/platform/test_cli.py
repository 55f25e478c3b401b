"""The command line: the ready line, refusals to start, signals, and leaving when idle."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clouditia_jupyter.platform.__main__ import main
from tests.running import RunningPlatform

Start = Callable[..., RunningPlatform]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "clouditia_jupyter.platform", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2
    assert result.stdout == ""
    assert len(result.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in result.stderr


def test_the_ready_line_says_where_the_platform_is(platform: RunningPlatform) -> None:
    where = platform.where
    assert set(where) == {"computing_url", "code_editor_url", "api_key", "pid"}
    assert where["computing_url"].endswith("/jobs")
    assert where["code_editor_url"].endswith("/code-editor")
    assert where["api_key"].startswith("sk_compute_")
    assert platform.computing.get("verify/").json()["valid"] is True


def test_the_state_folder_says_the_same_to_its_user_alone(platform: RunningPlatform) -> None:
    announcement = platform.state / "platform.json"
    assert json.loads(announcement.read_text()) == platform.where
    for file in (announcement, platform.state / "account.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(platform.state.stat().st_mode) == 0o700


def test_a_second_platform_on_the_same_state_is_refused(platform: RunningPlatform) -> None:
    before = (platform.state / "platform.json").read_text()
    refused = run("--state", str(platform.state))
    assert_refused(refused, "already serves", str(platform.where["pid"]), "--state")
    assert (platform.state / "platform.json").read_text() == before


def test_a_taken_port_is_refused_and_nothing_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("--state", str(tmp_path / "state"), "--port", str(port))
    assert_refused(refused, f"Port {port}", "--port")
    assert not (tmp_path / "state").exists()


def test_a_state_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    assert_refused(run("--state", str(file / "state")), "cannot be written", "--state")
    assert file.read_text() == "not a folder"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--launcher", "ray"], ["Ray", "--launcher process"]),
        (["--gpus", "nvidia-rtx-3090"], ["nvidia-rtx-3090=2"]),
        (["--gpus", "nvidia-rtx-3090=0"], ["1 to"]),
        (["--gpus", "nvidia-rtx-3090=1,nvidia-rtx-3090=1"], ["once"]),
        (["--port", "70000"], ["--port", "65535"]),
        (["--clock-rate", "0"], ["--clock-rate"]),
        (["--clock-rate", "nan"], ["--clock-rate"]),
        (["--credit", "-1"], ["--credit"]),
        (["--top-up", "0"], ["--top-up"]),
        (["--spares", "-1"], ["--spares"]),
        (["--database", "nonsense"], ["--database"]),
        (["--host", "203.0.113.1"], ["203.0.113.1"]),
    ],
)
def test_options_without_sense_are_refused_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, options: list[str], words: list[str]
) -> None:
    assert main(["--state", str(tmp_path / "state"), *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    for word in words:
        assert word in said.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(start_platform: Start, number: int) -> None:
    running = start_platform("--spares", "0")
    assert running.terminate(number) == 0
    assert not (running.state / "platform.json").exists()


def test_the_key_outlives_a_restart(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    key = running.where["api_key"]
    running.terminate()
    running.start()
    assert running.where["api_key"] == key


def test_a_removed_key_is_revoked_by_a_new_one(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    old = running.where["api_key"]
    running.terminate()
    (running.state / "account.key").unlink()
    running.start()
    assert running.computing.get("verify/").status_code == 200
    answer = running.computing.get("verify/", headers={"Authorization": f"Bearer {old}"})
    assert answer.status_code == 401
    assert "revoked" in answer.json()["error"]


def test_it_leaves_by_itself_when_nobody_needs_it(start_platform: Start) -> None:
    running = start_platform("--spares", "0", "--idle-exit", "0.2")
    assert running.wait_exit() == 0
    assert not (running.state / "platform.json").exists()


def test_a_top_up_reaches_a_running_platform(start_platform: Start) -> None:
    running = start_platform("--spares", "0", "--credit", "5")
    assert running.computing.get("balance/").json()["balance"] == 5
    done = run("--state", str(running.state), "--top-up", "2.5")
    assert done.returncode == 0, done.stderr
    assert "7.50 EUR" in done.stdout
    assert running.computing.get("balance/").json()["balance"] == 7.5


def test_what_is_offered_can_be_chosen(start_platform: Start) -> None:
    running = start_platform("--spares", "0", "--gpus", "nvidia-rtx-3060-ti=3,nvidia-h100=1")
    offered = running.computing.get("inventory/").json()["inventory"]
    assert [(item["gpu_type"], item["total"]) for item in offered] == [
        ("nvidia-rtx-3060ti", 3),
        ("nvidia-h100", 1),
    ]


def test_a_group_readable_umask_does_not_open_the_state(
    start_platform: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0)
    try:
        running = start_platform("--spares", "0")
    finally:
        os.umask(before)
    for name in ("platform.json", "account.key", "platform.db", "platform.db-wal"):
        assert stat.S_IMODE((running.state / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_text("{no")])
def test_a_spoilt_announcement_is_written_again(
    start_platform: Start, spoil: Callable[[Path], Any]
) -> None:
    running = start_platform("--spares", "0")
    announcement = running.state / "platform.json"
    spoil(announcement)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(announcement.read_text()) == running.where:
                return
    raise AssertionError("nobody finds the platform any more")


def test_it_leaves_when_its_state_folder_is_removed(start_platform: Start) -> None:
    running = start_platform("--spares", "0")
    shutil.rmtree(running.state)
    assert running.wait_exit() == 0
