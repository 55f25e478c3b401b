"""Run All without a front end: it stops at a remote cell that fails, and its program says so."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from clouditia_jupyter.errors import RemoteError
from tests.notebook.test_run import remote

if TYPE_CHECKING:
    from pathlib import Path

    from tests.notebook.conftest import Local

#: Its message has a line break, quotes and more than one argument.
FAILING = "print('before')\nraise LookupError('it\\'s\\nnot \"there\"', 3)"
#: What no program may come to.
AFTER = "open('after', 'w').close()\nprint('after')"

# nbclient and jupyter_client leave sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def notebook_of(*cells: str) -> Any:
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )


def run_all(notebook: Any, folder: Path) -> CellExecutionError:
    """Return what nbclient raises."""
    client = NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}})
    with pytest.raises(CellExecutionError) as caught:
        client.execute()
    return caught.value


def error_in(notebook: Any) -> tuple[str, str]:
    """Return name and message of the one error that a notebook shows."""
    (error,) = [
        (output.ename, output.evalue)
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type == "error"
    ]
    return error


@pytest.fixture(scope="module")
def as_locally(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return name and message of the failing cell in a local kernel."""
    notebook = notebook_of(FAILING)
    run_all(notebook, tmp_path_factory.mktemp("local"))
    return error_in(notebook)


@pytest.mark.both_paths
def test_programs_stop_at_a_remote_cell_that_fails(
    local: Local, tmp_path: Path, as_locally: tuple[str, str]
) -> None:
    _, manager = local
    manager.create_session("nvidia-rtx-3060ti", verbose=False)
    notebook = notebook_of(
        "%load_ext clouditia_jupyter", remote(FAILING), AFTER, remote("print('after')")
    )
    nbformat.write(notebook, tmp_path / "in.ipynb")
    programs = {
        "papermill": ["papermill", "in.ipynb", "out.ipynb", "--no-progress-bar"],
        "nbconvert": [
            *("jupyter", "nbconvert", "--to=notebook", "--execute"),
            *("in.ipynb", "--output=converted.ipynb"),
        ],
    }
    # at the same time, as most of it is their start
    running = {
        name: subprocess.Popen(
            [sys.executable, "-m", *argv],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, argv in programs.items()
    }
    try:
        raised = run_all(notebook, tmp_path)
        said = {name: program.communicate(timeout=60)[0] for name, program in running.items()}
    finally:
        for program in running.values():
            program.kill()
            program.communicate()

    assert (raised.ename, raised.evalue) == as_locally
    assert as_locally[0] == "LookupError"
    for name, program in running.items():
        assert program.returncode == 1, said[name]
        assert "LookupError" in said[name]
    # nbconvert keeps nothing of a notebook that failed
    assert not (tmp_path / "converted.ipynb").exists()
    for executed in (notebook, nbformat.read(tmp_path / "out.ipynb", as_version=4)):
        assert error_in(executed) == as_locally
        codes = [cell for cell in executed.cells if cell.cell_type == "code"]
        failed, *after = codes[-3:]
        assert failed.outputs[0].text == "before\n"
        assert all(cell.outputs == [] and cell.execution_count is None for cell in after)
    assert not (tmp_path / "after").exists()


@pytest.mark.both_paths
def test_a_remote_exception_is_caught_as_the_class_that_it_is(local: Local) -> None:
    shell, manager = local
    manager.create_session("nvidia-rtx-3060ti", verbose=False)
    for code, base, name, message in (
        ("1 +", "SyntaxError", "SyntaxError", "invalid syntax"),
        ("if True:\nx", "SyntaxError", "IndentationError", "expected an indented block"),
        ("raise KeyboardInterrupt('enough')", "KeyboardInterrupt", "KeyboardInterrupt", "enough"),
        ("raise StopIteration(3)", "StopIteration", "StopIteration", "3"),
        ("b'\\xff'.decode()", "ValueError", "UnicodeDecodeError", "invalid start byte"),
        ("open('/nowhere')", "OSError", "FileNotFoundError", "No such file"),
    ):
        # what is not caught fails the cell, and with it this
        caught = shell.run(
            f"try:\n    get_ipython().run_cell_magic('clouditia_run', '', {code!r})\n"
            f"except {base} as error:\n    caught = error\ncaught"
        )
        assert isinstance(caught, RemoteError)
        assert caught.ename == type(caught).__name__ == name
        assert message in str(caught)
        assert str(caught) == caught.evalue


@pytest.mark.both_paths
@pytest.mark.parametrize("cell", ["%%clouditia_run", "%%clouditia_run\n\n"])
def test_a_cell_without_code_does_nothing(
    local: Local, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    shell, manager = local
    manager.create_session("nvidia-rtx-3060ti", verbose=False)
    shell.run("%config ClouditiaMagics.footer = False")
    capsys.readouterr()
    assert shell.run(cell) is None
    assert capsys.readouterr() == ("", "")
