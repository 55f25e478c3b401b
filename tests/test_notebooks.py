"""The notebooks do what their text says, executed as ``make demo`` does it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
RUN = ROOT / "notebooks" / "run.py"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
KEY = re.compile(r"sk_(live|compute)_\w{8}")


class Executed:
    """An executed notebook, and what was said while it ran."""

    def __init__(self, path: Path, said: str) -> None:
        self.said = said
        self.text = path.read_text(encoding="utf-8")
        self._cells = nbformat.reads(self.text, as_version=4).cells

    def outputs(self, beginning: str) -> list[Any]:
        """Return the outputs of the code cell whose source has ``beginning`` in its first lines."""
        found = [c for c in self._cells if c.cell_type == "code" and beginning in c.source]
        assert len(found) == 1, f"{len(found)} cells contain {beginning!r}"
        return list(found[0].outputs)

    def data(self, beginning: str, kind: str) -> list[str]:
        """Return what that cell displayed of one MIME type."""
        outputs = [o for o in self.outputs(beginning) if o.output_type != "stream"]
        return [o.data[kind] for o in outputs if kind in o.data]

    def results(self, source: str) -> list[str]:
        """Return what the cells with exactly this source showed as text, in order."""
        cells = [c for c in self._cells if c.cell_type == "code" and c.source == source]
        return [output.data["text/plain"] for cell in cells for output in cell.outputs]

    def stream(self, beginning: str) -> str:
        """Return what that cell printed."""
        outputs = self.outputs(beginning)
        return "".join(o.text for o in outputs if o.output_type == "stream")

    def last(self) -> str:
        """Return what the last cell printed."""
        return "".join(o.text for o in self._cells[-1].outputs if o.output_type == "stream")


def run(build: Path, *notebooks: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUN), "--build", str(build), *map(str, notebooks)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def processes_in(folder: Path) -> list[list[str]]:
    """Return the command lines of the processes that work in a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if any(str(folder) in word for word in words):
            found.append(words)
    return found


def executed(build: Path, name: str, shows: str = "<img") -> Executed:
    ended = run(build, ROOT / "notebooks" / f"{name}.ipynb")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert processes_in(build) == []
    assert shows in (build / f"{name}.html").read_text(encoding="utf-8")
    return Executed(build / f"{name}.ipynb", ended.stdout)


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return executed(tmp_path_factory.mktemp("demo"), "01_quickstart")


@pytest.fixture(scope="module")
def like_local(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return executed(tmp_path_factory.mktemp("tour"), "02_like_local")


@pytest.fixture(scope="module")
def by_button(tmp_path_factory: pytest.TempPathFactory) -> Executed:
    return executed(tmp_path_factory.mktemp("panel"), "03_panel", "Control panel: ")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert [c.id for c in code if c.outputs or c.execution_count is not None] == []


def test_loading_is_quiet(quickstart: Executed) -> None:
    assert quickstart.outputs("%load_ext") == []


def test_the_inventory_is_a_table_with_prices(quickstart: Executed) -> None:
    (html,) = quickstart.data("%clouditia inventory", "text/html")
    assert "<table" in html and "price_per_hour" in html


def test_the_session_is_made_with_its_limit(quickstart: Executed) -> None:
    (line,) = quickstart.data("%clouditia create", "text/plain")
    assert re.match(r"quickstart \([0-9a-f]{8}\) is ready", line)
    assert "1.00 EUR" in quickstart.stream("%clouditia create")


def test_cells_share_their_variables(quickstart: Executed) -> None:
    assert "398 biopsies to learn from, 171" in quickstart.stream("train_test_split(")
    assert any("LogisticRegression" in text for text in quickstart.data("model.fit", "text/plain"))


def test_a_remote_figure_shows(quickstart: Executed) -> None:
    (image,) = quickstart.data("plt.show()", "image/png")
    assert len(image) > 1000


def test_a_remote_table_shows(quickstart: Executed) -> None:
    (html,) = quickstart.data("weights.sort_values", "text/html")
    assert "<table" in html and html.count("<tr") >= 6


def test_the_metrics_came_back_and_are_plausible(quickstart: Executed) -> None:
    (text,) = quickstart.data("right in", "text/plain")
    numbers = {name: float(value) for name, value in re.findall(r"'(\w+)': ([\d.]+)", text)}
    assert 0.9 < numbers["accuracy"] <= 1
    assert 0.95 < numbers["roc_auc"] <= 1
    assert numbers["biopsies"] == 171


def test_the_costs_are_a_table_of_what_was_spent(quickstart: Executed) -> None:
    (text,) = quickstart.data("%clouditia costs", "text/plain")
    spent = re.search(r"quickstart\s+([\d.]+)", text)
    assert spent and 0 < float(spent[1]) < 1


def test_the_key_shows_masked(quickstart: Executed) -> None:
    assert re.search(r"sk_live_\w{4}…\w{4}\b", quickstart.stream("%clouditia key"))


def test_nothing_runs_at_the_end(quickstart: Executed) -> None:
    assert "is stopped" in quickstart.stream("%clouditia stop")
    assert "Sessions  none" in quickstart.last()
    assert "No session is left, and the platform has ended." in quickstart.said


def test_no_key_or_password_is_in_any_output(quickstart: Executed) -> None:
    assert not KEY.search(quickstart.text)
    assert not KEY.search(quickstart.said)
    assert "password" not in quickstart.text.lower()


def test_what_a_cell_uses_goes_along_and_a_figure_comes(like_local: Executed) -> None:
    assert "sent walk, smoothed; imported numpy as np." in like_local.stream("plt.subplots")
    assert len(like_local.data("plt.subplots", "image/png")) == 1
    (text,) = like_local.data("roughness.get", "text/plain")
    assert text.startswith("('1000',")


def test_a_cell_fails_under_the_remote_name(like_local: Executed) -> None:
    (error,) = like_local.outputs("walk[2_000]")
    assert (error.output_type, error.ename) == ("error", "IndexError")


def test_a_run_in_the_background_is_attached_to_and_listed(like_local: Executed) -> None:
    assert "goes on by itself in one" in like_local.stream("--bg")
    assert like_local.stream("%clouditia attach").count("neighbours") == 3
    assert "<b>as smooth" in like_local.data("%clouditia attach", "text/html")[0]
    (runs,) = like_local.data("%clouditia runs", "text/plain")
    assert runs.count("ok") >= 3 and "error" in runs


def test_two_sessions_ran_one_cell(like_local: Executed) -> None:
    areas = like_local.data("--on one,two", "text/plain")
    assert sorted(area.splitlines()[0] for area in areas) == ["── one ──", "── two ──"]
    (brought,) = like_local.data("farthest.get", "text/plain")
    assert re.search(r"\{'one': [\d.]+, 'two': [\d.]+\}", brought)


def test_the_whole_notebook_ran_there_for_a_while(like_local: Executed) -> None:
    assert "('there', (2000,), 1)" in like_local.data("place, walk.shape", "text/plain")
    assert like_local.data("%%local", "text/plain") == ["'here'"]
    assert like_local.results("place") == ["'there'", "'here'"]


def test_the_tour_leaves_nothing(like_local: Executed) -> None:
    assert like_local.last().count("is stopped: it ran") == 2
    assert not KEY.search(like_local.text)


def test_the_panel_is_a_widget_and_text_where_there_is_no_page(by_button: Executed) -> None:
    (text,) = by_button.data("%clouditia panel", "text/plain")
    assert re.fullmatch(r"Control panel: no session bills, [\d.]+ EUR left", text)
    (view,) = by_button.data("%clouditia panel", "application/vnd.jupyter.widget-view+json")
    assert view["model_id"]


def test_the_panels_tables_are_data_frames(by_button: Executed) -> None:
    (runs,) = by_button.data("panel.runs", "text/html")
    assert "import time" in runs and "ok" in runs
    (costs,) = by_button.data("panel.costs", "text/plain")
    assert "running" in costs
    assert "is stopped: it ran" in by_button.last()


def test_a_saved_panel_keeps_no_key(by_button: Executed) -> None:
    assert not KEY.search(by_button.text)
    assert "password" not in by_button.text.lower()


MAKES_A_SESSION = (
    "%load_ext clouditia_jupyter",
    "inventory = %clouditia inventory",
    "%clouditia create --gpu {inventory.index[0]} --ram 1 --vcpu 1",
)


def notebook_of(path: Path, *cells: str) -> Path:
    nbformat.write(new_notebook(cells=[new_code_cell(source) for source in cells]), path)
    return path


def test_a_cell_that_fails_fails_the_run_and_still_nothing_is_left(tmp_path: Path) -> None:
    cells = (*MAKES_A_SESSION, "%%clouditia_run\n1 / 0", "print('never reached')")
    build = tmp_path / "build"
    ended = run(build, notebook_of(tmp_path / "failing.ipynb", *cells))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "ZeroDivisionError" in ended.stdout
    assert "never reached" not in ended.stdout
    assert "which was left running" in ended.stdout
    assert "No session is left, and the platform has ended." in ended.stdout
    assert (build / "failing.html").is_file()
    assert processes_in(build) == []


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    cells = (*MAKES_A_SESSION, "%%clouditia_run\nimport time\n\ntime.sleep(600)")
    build = tmp_path / "build"
    command = [sys.executable, str(RUN), "--build", str(build)]
    path = notebook_of(tmp_path / "endless.ipynb", *cells)
    with subprocess.Popen(
        [*command, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if "is ready" in line:
                process.send_signal(signal.SIGINT)
    assert process.returncode not in (0, -signal.SIGINT), said
    assert "which was left running" in said
    assert "No session is left, and the platform has ended." in said
    assert processes_in(build) == []
