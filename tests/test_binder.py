"""What binder/ names is enough to run every notebook, in an environment that holds nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).parents[1]
BINDER = ROOT / "binder"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_its_python_is_one_that_the_package_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    least = tuple(map(int, project["requires-python"].removeprefix(">=").split(".")))
    name, _, version = (BINDER / "runtime.txt").read_text(encoding="utf-8").strip().partition("-")
    assert name == "python"
    assert tuple(map(int, version.split("."))) >= least


def test_it_brings_the_sandbox() -> None:
    assert "bubblewrap" in (BINDER / "apt.txt").read_text(encoding="utf-8").split()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_every_notebook_runs_in_its_environment(tmp_path: Path) -> None:
    assert NOTEBOOKS
    python = tmp_path / "environment" / "bin" / "python"
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV", "JUPYTER", "IPYTHON", "CLOUDITIA_"))
    }

    def call(*words: str | Path) -> str:
        ended = subprocess.run(
            [*map(str, words)],
            cwd=ROOT,
            env=inherited,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    call(sys.executable, "-m", "venv", tmp_path / "environment")
    # from the root of the repository, as mybinder.org does it
    call(python, "-m", "pip", "install", "--quiet", "-r", "binder/requirements.txt")
    said = call(python, ROOT / "notebooks" / "run.py", "--build", tmp_path / "build", *NOTEBOOKS)
    assert said.count("Every cell succeeded.") == len(NOTEBOOKS), said
