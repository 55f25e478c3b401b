"""Loading and unloading: quiet, light, and without a trace."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.error import UsageError

if TYPE_CHECKING:
    from tests.notebook.conftest import Shell

HEAVY = {"pandas", "ipywidgets", "httpx", "numpy", "matplotlib", "pyarrow", "fastapi"}


def test_loading_imports_nothing_heavy_and_says_nothing() -> None:
    code = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "before = set(sys.modules)\n"
        "shell.run_line_magic('load_ext', 'clouditia_jupyter')\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    added = {name.split(".")[0] for name in line.split()}
    assert "clouditia_jupyter" in added
    assert not added & HEAVY
    assert not {name for name in line.split() if ".client" in name or ".platform" in name}
    assert done.stderr == ""


def _traces(shell: Shell) -> Any:
    manager = shell.ip.magics_manager
    return (
        {kind: set(names) for kind, names in manager.magics.items()},
        set(manager.registry),
        [id(item) for item in shell.ip.configurables],
        {name: len(hooks) for name, hooks in shell.ip.events.callbacks.items()},
        set(shell.names),
    )


def test_unloading_leaves_no_trace_and_loading_again_works(
    bare_shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _traces(bare_shell)
    for _ in range(2):
        bare_shell.ip.extension_manager.load_extension("clouditia_jupyter")
        assert "clouditia_run" in bare_shell.ip.magics_manager.magics["cell"]
        bare_shell.ip.extension_manager.unload_extension("clouditia_jupyter")
        assert _traces(bare_shell) == before
    assert capsys.readouterr() == ("", "")


def test_loading_twice_keeps_settings(shell: Shell) -> None:
    shell.run("%config ClouditiaMagics.footer = False")
    shell.run("import clouditia_jupyter\nclouditia_jupyter.load_ipython_extension(get_ipython())")
    assert shell.run("%config ClouditiaMagics.footer") is False


def test_config_lists_settings_and_no_key(
    shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDITIA_API_KEY", "sk_compute_secret")
    shell.run("%config ClouditiaMagics")
    text = capsys.readouterr().out
    for name in ("footer", "base_url", "editor_url", "state", "timeout"):
        assert f"ClouditiaMagics.{name}=" in text
    assert "secret" not in text


@pytest.mark.parametrize("line", ["%clouditia --help", "%clouditia create --help", "%clouditia?"])
def test_help_helps(shell: Shell, capsys: pytest.CaptureFixture[str], line: str) -> None:
    assert shell.run(line) is None
    assert "%clouditia create" in capsys.readouterr().out


@pytest.mark.parametrize("cell", ["%%clouditia_run --help", "%%clouditia_run --help\n1 / 0"])
def test_a_cell_that_asks_for_help_runs_nothing_and_needs_no_service(
    shell: Shell, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    assert shell.run(cell) is None
    assert "--max-cost EUR" in capsys.readouterr().out


def test_bad_arguments_are_a_usage_error_and_need_no_service(shell: Shell) -> None:
    for line in ("%clouditia creat", "%%clouditia_run --sesion x\n1"):
        with pytest.raises(UsageError) as caught:
            shell.run(line)
        assert type(caught.value) is UsageError


def test_a_terminal_waits_for_the_code_of_a_cell(shell: Shell) -> None:
    complete = shell.ip.input_transformer_manager.check_complete
    assert complete("%%clouditia_run\n")[0] == "incomplete"
    assert complete("%%clouditia_run --session x\n1\n")[0] == "incomplete"
    assert complete("%%clouditia_run\n1\n\n")[0] == "complete"
