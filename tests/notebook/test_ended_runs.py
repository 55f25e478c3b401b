"""Runs of sessions that have ended: listed, shown and read, by a later platform too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psutil
import pytest
from IPython.core.error import UsageError

from clouditia_jupyter import errors
from tests.notebook.conftest import end_platform
from tests.notebook.gate import Gate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.notebook.conftest import Shell

Capture = pytest.CaptureFixture[str]
Own = tuple["Shell", "Path"]

CREATE = "%clouditia create --gpu nvidia-rtx-3060ti --name brief"


def begin(shell: Shell, code: str) -> str:
    shell.run(f"%%clouditia_run --bg\n{code}")
    run_id: str = shell.run("%clouditia runs").index[0]
    return run_id


@pytest.mark.both_paths
def test_where_nothing_has_run(own_state: Own, request: pytest.FixtureRequest) -> None:
    shell, _ = own_state
    with pytest.raises(errors.JobNotFoundError, match="--bg begins one"):
        shell.run("%clouditia attach")
    with pytest.raises(errors.SessionNotFoundError, match="%clouditia create"):
        shell.run("%clouditia runs")
    assert len(shell.run("%clouditia runs --all")) == 0
    shell.run(CREATE)
    with pytest.raises(errors.JobNotFoundError, match="--bg begins one"):
        shell.run("%clouditia logs")
    with pytest.raises(UsageError, match="RUN"):
        shell.run("%clouditia cancel")
    shell.run("%clouditia stop")
    if "streams" in request.node.name:
        assert len(shell.run("%clouditia runs --session brief")) == 0
    else:  # it keeps none
        with pytest.raises(errors.SessionStateError, match="is stopped"):
            shell.run("%clouditia runs --session brief")


def test_a_run_is_shown_when_its_session_has_ended(own_state: Own, capsys: Capture) -> None:
    shell, folder = own_state
    shell.run(CREATE)
    code = (
        "import sys, ipywidgets\nfrom IPython.display import HTML, display\n"
        "print('worth keeping')\nprint('to stderr', file=sys.stderr)\n"
        "display(ipywidgets.IntSlider(7))\ndisplay(HTML('<b>rich</b>'))\n6 * 7"
    )
    run_id = begin(shell, code)
    shell.run("%clouditia attach")
    shell.run("%%clouditia_run\n'more' * 2")
    shell.run("%clouditia stop")

    for _ in range(2):
        frame = shell.run("%clouditia runs --session brief")
        assert list(frame["status"]) == ["ok", "ok"]
        assert list(frame["first_line"]) == ["'more' * 2", code.split("\n")[0]]
        assert (frame["seconds"] > 0).all()
        assert (frame["euros"] > 0).all()
        assert shell.run("%clouditia runs --all").equals(frame)
        capsys.readouterr()
        shell.run(f"%clouditia attach {run_id[:8]}")
        out, err = capsys.readouterr()
        assert out.splitlines() == [
            "worth keeping",
            "IntSlider(value=7)",
            "<IPython.core.display.HTML object>",
            "Out[0]: 42",
        ]
        assert err == "to stderr\n"
        shell.run(f"%clouditia logs {run_id} --session brief")
        assert capsys.readouterr().out == "worth keeping\nto stderr\n"
        shell.run("%clouditia attach")  # the last one
        assert capsys.readouterr().out == "Out[0]: 'moremore'\n"
        shell.run(f"%clouditia cancel {run_id}")
        assert "has ended before (ok)" in capsys.readouterr().out
        with pytest.raises(errors.JobNotFoundError, match=r"no-such.*%clouditia runs --all"):
            shell.run("%clouditia attach no-such")
        # and all of it once more, from the next one
        platform = psutil.Process(json.loads((folder / "platform.json").read_text())["pid"])
        end_platform(folder)
        psutil.wait_procs([platform])


def test_a_run_whose_session_ended_under_it_is_lost(own_state: Own, capsys: Capture) -> None:
    shell, _ = own_state
    shell.run(CREATE)
    with Gate() as gate:
        run_id = begin(shell, f"print('so far', flush=True)\n{gate.code}")
        waiting = begin(shell, "'never'")
        while True:
            capsys.readouterr()
            shell.run(f"%clouditia logs {run_id}")
            if "so far" in capsys.readouterr().out:
                break
        shell.run("%clouditia stop")
    frame = shell.run("%clouditia runs --all")
    assert frame["status"].to_dict() == {run_id: "lost", waiting: "lost"}
    capsys.readouterr()
    for run, shown in ((run_id, "so far\n"), (waiting, "")):
        with pytest.raises(errors.SessionLostError, match="was stopped"):
            shell.run(f"%clouditia attach {run}")
        assert capsys.readouterr().out.startswith(shown)
