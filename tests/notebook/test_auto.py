"""``--auto``: a cell takes along what it uses and its session lacks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from clouditia_jupyter import errors
from clouditia_jupyter.notebook import parcel
from tests.notebook.test_background import session_in
from tests.notebook.test_run import CREATE, execute, remote

if TYPE_CHECKING:
    from pathlib import Path

    from tests.notebook.conftest import Local

Capture = pytest.CaptureFixture[str]

# nbclient and jupyter_client leave sockets to the garbage collector
pytestmark = [
    pytest.mark.both_paths,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def test_a_cell_takes_along_what_it_uses(local: Local) -> None:
    setup = (
        "import math\nimport numpy as np, pandas as pd\nimport os.path as osp\n"
        "from collections import Counter\n"
        "scale = 3\nrows = [1, 2]\nframe = pd.DataFrame({'a': rows})\nunused = object()\n"
        "class Model:\n    def fit(self, data):\n        return [helper(d) for d in data]\n"
        "def helper(value):\n    return value * scale\n"
    )
    code = (
        "m = Model()\nscale_there = 'scale' in globals()\n"
        "m.fit(rows), frame['a'].sum(), np.mean(rows), Counter('aab')['a'], osp.basename('a/b')"
    )
    _, _, first, again, unused = execute(
        CREATE,
        setup,
        remote(code, "--auto"),
        remote(code, "--auto"),
        remote("print(unused)"),
        allow_errors=True,
    )
    (sent, result) = first.outputs
    assert sent.text.startswith("remote (")
    assert sent.text.endswith(
        "): sent Model, rows, frame, Counter; imported numpy as np, posixpath as osp.\n"
    )
    values = result.data["text/plain"].replace("np.int64(3)", "3").replace("np.float64(1.5)", "1.5")
    assert values == "([3, 6], 3, 1.5, 2, 'b')"
    assert [o.output_type for o in again.outputs] == ["execute_result"]
    assert unused.outputs[-1].ename == "NameError"


def test_what_is_there_is_asked_once_and_left(
    local: Local, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, manager = local
    session_in(shell, manager, "asked")
    shell.run(remote("here = 'remote'\nprint('begun')"))
    shell.run("here = 'local'\nmax = 'mine'\nimport json as text")
    questions: list[Any] = []
    live = shell.ip.magics_manager.registry["ClouditiaMagics"].connection_now().live_now()
    ask = live.look_up
    monkeypatch.setattr(live, "look_up", lambda *wanted: questions.append(wanted) or ask(*wanted))
    capsys.readouterr()
    shell.run(remote("print(here, max, text.dumps([min(2, 1)]), In, exit)", "--auto"))
    said, printed = capsys.readouterr().out.splitlines()
    assert said.endswith("): sent max; imported json as text.")
    assert printed.startswith("remote mine [1] [")
    assert len(questions) == 1
    shell.run(remote("local_only = 1\nprint(local_only)", "--auto"))  # needs nothing, asks nothing
    assert len(questions) == 1
    shell.run("x = 'local'")
    shell.run(remote("print(x)", "-i x=1+1 --auto"))
    assert capsys.readouterr().out.splitlines()[1:] == ["2"]


def test_what_is_too_big_goes_only_when_told(
    local: Local, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, manager = local
    session_in(shell, manager, "narrow")
    shell.run("%config ClouditiaMagics.auto_limit = 0.001")
    shell.run("import numpy as np, pandas as pd\nsmall = np.zeros(10)\nwide = np.zeros(1000)")
    shell.run("frame = pd.DataFrame({'a': ['x' * 100] * 100})\ntext = 'x' * 2000")
    shell.run(remote("small.sum()", "--auto"))
    for name in ("wide", "frame", "text"):
        with pytest.raises(errors.ValueTransferError) as caught:
            shell.run(remote(f"ran = 1\nlen({name})", "--auto"))
        assert f"-i {name}" in str(caught.value)
        assert "auto_limit" in str(caught.value)
    with pytest.raises(NameError):  # nothing of the cell ran
        shell.run(remote("ran"))
    answers = iter([False, True])
    monkeypatch.setattr(parcel, "can_ask", lambda _shell: True)
    monkeypatch.setattr(parcel, "confirmed", lambda _question: next(answers))
    with pytest.raises(errors.ValueTransferError):
        shell.run(remote("len(wide)", "--auto"))
    shell.run(remote("len(wide)", "--auto"))
    shell.run(remote("len(frame)", "--auto -i frame"))
    shell.run("%config ClouditiaMagics.auto_limit = 1")
    shell.run(remote("print(len(text))", "--auto"))
    assert capsys.readouterr().out.endswith("2000\n")


def test_what_cannot_cross_is_said_by_its_name(
    local: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, manager = local
    session_in(shell, manager, "strict")
    (tmp_path / "only_here.py").write_text("x = 1")
    monkeypatch.syspath_prepend(tmp_path)
    shell.run("import only_here as oh, threading\nlock = threading.Lock()")
    with pytest.raises(errors.ValueTransferError, match=r"uses lock\. A lock cannot be sent"):
        shell.run(remote("with lock: pass", "--auto"))
    with pytest.raises(errors.ValueTransferError, match=r"only_here as oh.*strict.*cannot import"):
        shell.run(remote("oh.x", "--auto"))


def test_a_run_in_the_background_takes_along_too(local: Local, capsys: Capture) -> None:
    shell, manager = local
    session_in(shell, manager, "later")
    shell.run("number = 41")
    shell.run(remote("print(number + 1)", "--bg --auto"))
    shell.run("%clouditia attach")
    assert capsys.readouterr().out.endswith("42\n")
