"""Whole-notebook mode: every cell goes to the session, but for those that stay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from IPython.core.error import UsageError

from clouditia_jupyter import errors
from clouditia_jupyter.notebook import whole_notebook
from tests.notebook.front_end import FrontEnd, error_of, text_of
from tests.notebook.test_background import session_in
from tests.notebook.test_completion import Editor
from tests.notebook.test_run import CREATE, execute
from tests.notebook.test_run import text_of as text_of_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.notebook.conftest import Local

Capture = pytest.CaptureFixture[str]

# nbclient and jupyter_client leave sockets to the garbage collector
pytestmark = [
    pytest.mark.both_paths,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

ON, OFF = "%clouditia auto on", "%clouditia auto off"


@pytest.mark.parametrize(
    "cell",
    [
        "%clouditia status",
        "\n# a note\n%clouditia auto off\nx = 1",
        "%clouditia?",
        "?%clouditia",
        "%%clouditia_run?",
        "%%clouditia_run --session b\nx = 1",
        "%%local\nx = 1",
        "\n\n%%local \nx = 1",
        "%load_ext clouditia_jupyter",
        "%unload_ext clouditia_jupyter",
        "%config ClouditiaMagics.footer = False",
        "",
        "\n  \n",
    ],
)
def test_cells_that_stay(cell: str) -> None:
    assert whole_notebook.stays(cell)


@pytest.mark.parametrize(
    "cell",
    [
        "x = 1",
        "x = 1\n%clouditia status",
        "%%time\nx = 1",
        "%%bash\nls",
        "!ls",
        "clouditia = 1",
        "%load_ext autoreload",
        "%config InlineBackend.figure_format = 'svg'",
        "%%localise\nx",
        "# only a note\n",
        "# a note\nx = 1",
        "def f(:",
        "x?",
    ],
)
def test_cells_that_go(cell: str) -> None:
    assert not whole_notebook.stays(cell)


def test_single_lines_stay_and_others_keep_their_numbers() -> None:
    cell = (
        "x = 1\n%clouditia use b\nframe = %clouditia runs\ny = '''\n%clouditia no\n'''\n"
        "if y:\n    z = '''\n    %clouditia no'''\n%config ClouditiaMagics.footer = False\n"
    )
    lines = cell.splitlines(keepends=True)
    assert whole_notebook.split(lines) == [
        (False, lines[:1]),
        (True, lines[1:3]),
        (False, [*(f"# {line}" for line in lines[:3]), *lines[3:9]]),
        (True, lines[9:]),
    ]
    timed = ["%%time\n", "x\n", "%clouditia use b\n"]
    assert whole_notebook.split(timed) == [(False, timed)]


@pytest.mark.parametrize("line", ["%clouditia stop", "frame = %clouditia runs"])
def test_a_line_that_stays_inside_of_what_goes_is_refused(line: str) -> None:
    cell = f"if x:\n    y = 1\n    {line}\n"
    with pytest.raises(UsageError, match=r"^line 3 stays here, .* begin the cell with %%local$"):
        whole_notebook.split(cell.splitlines(keepends=True))


def test_a_notebook_runs_in_the_session(local: Local) -> None:
    cells = execute(
        CREATE,
        "import os\nmine = os.getpid()",
        ON,
        "import os\nx = 20\nprint(os.getpid())\nx + 1",
        "%%local\nimport os\nnow = os.getpid()\nnow == mine",
        "%%time\ny = x",
        "!echo from the shell",
        "%%bash\necho from bash",
        "def f():\n    '''Help on it.'''\n    return 1 / 0\nf?",
        "# nothing",
        "%clouditia",
        "await __import__('asyncio').sleep(0, 'awaited')",
        OFF + "\nhere = 'x' in globals(), os.getpid() == mine",
        "here",
    )
    _, _, on, first, kept, timed, shell, bash, helped, nothing, status, awaited, _, off = cells
    assert "runs in session remote (" in text_of_cell(on)
    assert "%clouditia auto off" in text_of_cell(on)
    assert first.outputs[-1].output_type == "execute_result"
    assert first.outputs[-1].data["text/plain"] == "21"
    assert first.outputs[-1].execution_count == first.execution_count
    assert kept.outputs[0].data["text/plain"] == "True"
    assert "Wall time" in text_of_cell(timed)
    assert "from the shell" in text_of_cell(shell)
    assert text_of_cell(bash) == "from bash\n"
    assert helped.outputs == []  # as a local one's, it is for the pager, which is not here
    assert nothing.outputs == []
    assert "Auto      on" in text_of_cell(status)
    assert "current" in text_of_cell(status)
    assert awaited.outputs[0].data["text/plain"] == "'awaited'"
    assert off.outputs[0].data["text/plain"] == "(False, True)"


def test_mistakes_fail_as_in_the_session(local: Local) -> None:
    cells = execute(
        CREATE,
        ON,
        "def f(:",
        "a = 1\n%clouditia runs --all\n\nb = 1 / 0",
        "a, 'b' in globals()",
        "%%local x\n1",
        allow_errors=True,
    )
    _, _, syntax, mixed, state, marked = cells
    assert syntax.outputs[-1].ename == "SyntaxError"
    assert "clouditia_jupyter" not in "".join(syntax.outputs[-1].traceback)
    assert mixed.outputs[-1].ename == "ZeroDivisionError"
    trace = re.sub(r"\x1b\[[\d;]*m", "", "".join(mixed.outputs[-1].traceback))
    assert "----> 4 b = 1 / 0" in trace
    assert state.outputs[0].data["text/plain"] == "(1, False)"
    assert "alone on the first line" in text_of_cell(marked, "stderr")


def test_history_says_what_was_typed(local: Local) -> None:
    *_, shown = execute(
        CREATE,
        ON,
        "seen = 1\nseen",
        "%%local\nIn[-2], _i, In[-1]",
    )
    assert shown.outputs[0].data["text/plain"] == (
        r"('seen = 1\nseen', 'seen = 1\nseen', '\nIn[-2], _i, In[-1]')"
    )


def test_what_runs_inside_of_a_cell_stays_with_it(local: Local, capsys: Capture) -> None:
    shell, manager = local
    session_in(shell, manager, "inner")
    shell.run(ON)
    shell.run("x = 'remote'")
    shell.run("%%local\n%%time\nx = 'local'")
    shell.run("%%local\nget_ipython().run_cell('y = x')")
    shell.run("print(x, 'y' in globals())")
    assert capsys.readouterr().out.endswith("remote False\n")
    shell.run(OFF)
    assert shell.names["x"] == shell.names["y"] == "local"
    assert shell.run("%%local\nx + '!'") == "local!"


def test_without_a_session_it_says_the_way_out(local: Local, capsys: Capture) -> None:
    shell, manager = local
    shell.run(ON)
    assert "once there is one (No session is running" in capsys.readouterr().out
    with pytest.raises(errors.SessionNotFoundError, match=r"create.*%clouditia auto off runs"):
        shell.run("x = 1")
    made = session_in(shell, manager, "gone")
    shell.run("x = 1")
    manager.stop_session(made, verbose=False)
    with pytest.raises(errors.ClouditiaError) as caught:
        shell.run("x")
    assert isinstance(caught.value, (errors.SessionNotFoundError, errors.SessionStateError))
    assert "%clouditia auto off" in str(caught.value)
    session_in(shell, manager, "next")
    with pytest.raises(NameError):
        shell.run("x")
    shell.run(OFF)
    shell.run("%clouditia auto")
    assert "Cells run here." in capsys.readouterr().out.splitlines()[-1]
    with pytest.raises(errors.SessionNotFoundError) as unsent:
        shell.run("%clouditia use nowhere")
    assert "auto off" not in str(unsent.value)


def test_it_goes_with_the_extension_and_is_on_once(local: Local, capsys: Capture) -> None:
    shell, manager = local
    before = list(shell.ip.input_transformers_cleanup)
    session_in(shell, manager, "whole")
    for _ in range(2):
        shell.run(ON)
        shell.run("%clouditia auto")
        assert "Every following cell runs in session whole" in capsys.readouterr().out
    assert len(shell.ip.input_transformers_cleanup) == len(before) + 1
    shell.run(OFF)
    assert shell.ip.input_transformers_cleanup == before
    shell.run(ON)
    shell.run("%unload_ext clouditia_jupyter")
    ours = [t for t in before if t.__module__.startswith("clouditia_jupyter")]
    assert whole_notebook.without_mark in ours
    left = shell.ip.input_transformers_cleanup
    assert left == [transform for transform in before if transform not in ours]
    assert shell.run("6 * 7") == 42
    shell.run("%load_ext clouditia_jupyter")
    assert shell.run("6 * 7") == 42  # it begins switched off


def test_a_person_sees_where_each_cell_ran(
    local: Local, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, manager = local
    made = session_in(shell, manager, "seen")
    monkeypatch.setattr("clouditia_jupyter.notebook.runner.can_ask", lambda _shell: True)
    shell.run(ON)
    capsys.readouterr()
    shell.run("print('out')")
    out, footer = capsys.readouterr().out.splitlines()
    assert (out, footer.split(" · ")[0]) == ("out", f"in seen ({made.short_id})")
    with pytest.raises(ZeroDivisionError):
        shell.run("1 / 0")
    assert capsys.readouterr().out.startswith(f"in seen ({made.short_id}) · ")
    shell.run("%config ClouditiaMagics.footer = False")
    shell.run("print('out')")
    assert capsys.readouterr().out == f"in seen ({made.short_id})\nout\n"
    shell.run(OFF)
    shell.run("%%clouditia_run\nprint('out')")
    assert capsys.readouterr().out.endswith("\nout\n")


@pytest.fixture
def front_end(local: Local) -> Iterator[FrontEnd]:
    made = FrontEnd()
    yield made
    made.close()


def test_what_a_front_end_runs_for_itself_stays(front_end: FrontEnd) -> None:
    front_end.run("where = 'local'")
    front_end.run(ON)
    front_end.run("where = 'remote'\nfigure = 1")
    client = front_end.client
    helper = client.execute("print(where)", silent=False, store_history=False)
    assert text_of(front_end.until_idle(helper)) == "local\n"
    silent = client.execute("where += '!'", silent=True)
    front_end.until_idle(silent)
    asked = client.execute("print(where)", user_expressions={"w": "where"})
    assert text_of(front_end.until_idle(asked)) == "remote\n"
    reply = client.get_shell_msg(timeout=60)
    while reply["parent_header"].get("msg_id") != asked:
        reply = client.get_shell_msg(timeout=60)
    assert reply["content"]["user_expressions"]["w"]["data"]["text/plain"] == "'local!'"
    assert error_of(front_end.run("nowhere"))["ename"] == "NameError"


def test_names_complete_and_help_as_they_are_in_the_session(front_end: FrontEnd) -> None:
    editor = Editor(front_end.client)
    editor.run("local_only = 1")
    editor.run(ON)
    editor.run("remote_frame = {'a': 1}")
    # the agent answers from its second request on
    assert editor.complete("x = 1\nremote_f") == ["x = 1\nremote_frame"]
    assert editor.complete("local_on") in ([], ["local_on"])
    assert "%%local\nlocal_only" in editor.complete("%%local\nlocal_on")
    assert "%%local" in editor.complete("%%loc")
    assert editor.complete("%clouditia aut") == ["%clouditia auto"]
    assert set(editor.complete("%clouditia auto o")) == {"%clouditia auto on", OFF}
    assert "dict" in editor.inspect("remote_frame")["data"]["text/plain"]
    assert not editor.inspect("local_only")["found"]
    assert editor.inspect("%%local\nlocal_only")["found"]
    asked = editor.client.is_complete("for i in range(3):")
    reply = editor.client.get_shell_msg(timeout=30)
    while reply["parent_header"].get("msg_id") != asked:
        reply = editor.client.get_shell_msg(timeout=30)
    assert reply["content"]["status"] == "incomplete"
