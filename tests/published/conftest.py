"""The clients on PyPI, each in a folder of its own, and programs run with them."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartPlatform
from tests.running import RunningPlatform

HERE = Path(__file__).parent
#: Kept from run to run; a published version never changes.
KEPT = HERE.parents[1] / "build" / "published"

RunProgram = Callable[[str, str, str, str], dict[str, Any]]


def installed(requirement: str) -> Path:
    """Return the folder with a package and what it needs, installed the first time."""
    folder = KEPT / f"{requirement.replace('==', '-')}-py{sys.version_info.minor}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        complete = folder / ".complete"
        if not complete.exists():
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade", "--target"]
            ended = subprocess.run(
                [*pip, str(folder), requirement], capture_output=True, text=True, check=False
            )
            assert ended.returncode == 0, ended.stderr
            complete.touch()
    return folder


@pytest.fixture(scope="session")
def two_gpus(start_platform_for_session: StartPlatform) -> RunningPlatform:
    """Return a platform with one GPU of each of two types, so that a second request must wait."""
    return start_platform_for_session("--gpus", "nvidia-rtx-3090=1,nvidia-rtx-4090=1")


@pytest.fixture(scope="session")
def run_program(tmp_path_factory: pytest.TempPathFactory) -> RunProgram:
    """Run a program of this folder with a published client; return what it saw."""

    def run(requirement: str, program: str, url: str, key: str) -> dict[str, Any]:
        seen = tmp_path_factory.mktemp("seen") / "seen.json"
        ended = subprocess.run(
            [sys.executable, str(HERE / program), url, key, str(seen)],
            env={**os.environ, "PYTHONPATH": str(installed(requirement))},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return {**json.loads(seen.read_text(encoding="utf-8")), "printed": ended.stdout}

    return run
