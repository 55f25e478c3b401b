"""``--on``: one cell in several sessions at the same time."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.error import UsageError

from clouditia_jupyter import errors
from clouditia_jupyter.client import transfer
from clouditia_jupyter.notebook import labelled, starter
from clouditia_jupyter.notebook.screen import Screen
from tests.notebook.conftest import manager_for, stop_all
from tests.notebook.front_end import FrontEnd, error_of, text_of
from tests.notebook.gate import Gate
from tests.notebook.test_background import SLEEP, session_in
from tests.notebook.test_run import execute, remote

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from clouditia_jupyter import GPUManager
    from tests.notebook.conftest import Local, Shell

Capture = pytest.CaptureFixture[str]

# nbclient and jupyter_client leave sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module", params=["streams", "agent"])
def place(request: pytest.FixtureRequest) -> Path:
    """Run every test here over both paths: event streams, and the agent where there are none."""
    name = "stock_state" if request.param == "agent" else "state"
    folder: Path = request.getfixturevalue(name)
    return folder


@pytest.fixture(scope="module")
def manager(place: Path) -> Iterator[GPUManager]:
    with manager_for(starter.find_or_start(place)) as made:
        yield made
        stop_all(made)


@pytest.fixture
def pair(place: Path, manager: GPUManager, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Local:
    """Return a shell with two sessions, ``a`` and ``b``, of which ``b`` is the current one."""
    monkeypatch.setenv("CLOUDITIA_STATE", str(place))
    running = {session.name for session in manager.list_sessions(status="running")}
    for name in "ab":
        if name not in running:
            session_in(shell, manager, name)
        shell.run(remote(f"me = {name!r}", f"--session {name}"))
    shell.run("%clouditia use b")
    return shell, manager


def rows(text: str) -> dict[str, list[str]]:
    """Return the lines that each session printed, by its name."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, mark, rest = line.partition(" | ")
        if mark:
            found.setdefault(name.strip(), []).append(rest)
    return found


def test_what_comes_is_labelled_and_brought_back_by_session(pair: Local, capsys: Capture) -> None:
    shell, _ = pair
    shell.run("data = [1, 2]\nextra = 3")
    capsys.readouterr()
    shell.run(
        remote(
            "import sys\nprint('from', me)\nprint('half', end='')\n"
            "print('bad', me, file=sys.stderr)\ntotal = sum(data) * f + extra\nme * 2",
            "--on a,b -i data,f=2 --auto -o total,whose=me",
        )
    )
    shown = capsys.readouterr()
    assert rows(shown.out) == {"a": ["from a", "'aa'", "half"], "b": ["from b", "'bb'", "half"]}
    assert rows(shown.err) == {"a": ["bad a"], "b": ["bad b"]}
    assert shown.out.count("): sent extra.") == 2
    assert shell.names["total"] == {"a": 9, "b": 9}
    assert shell.names["whose"] == {"a": "a", "b": "b"}
    shell.run(remote("print(me)", "--on all"))
    assert rows(capsys.readouterr().out) == {"a": ["a"], "b": ["b"]}


def test_sessions_run_at_the_same_time(pair: Local, capsys: Capture) -> None:
    shell, _ = pair
    with Gate(opens_at=2) as gate:
        shell.run(remote(f"{gate.code}print('met')", "--on a,b"))
    assert rows(capsys.readouterr().out) == {"a": ["met"], "b": ["met"]}


def test_values_are_encoded_once(pair: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    shell, _ = pair
    encoded: list[Any] = []
    encode = transfer.encoded

    def counted(value: Any) -> Any:
        encoded.append(value)
        return encode(value)

    monkeypatch.setattr(transfer, "encoded", counted)
    shell.run("big, small = [1] * 1000, 'x'")
    shell.run(remote("assert len(big) == 1000 and small == 'x'", "--on all -i big --auto"))
    assert sorted(map(str, encoded)) == sorted([str([1] * 1000), "x"])


def test_failures_are_one_exception(pair: Local, capsys: Capture) -> None:
    shell, _ = pair
    with pytest.raises(errors.RemoteErrors) as caught:
        shell.run(remote("kept = 1\nif me == 'a':\n    1 / 0", "--on all -o kept"))
    assert str(caught.value) == "failed in 1 of 2 sessions: a: ZeroDivisionError: division by zero"
    assert not isinstance(caught.value, ZeroDivisionError)
    assert shell.names["kept"] == {"b": 1}
    trace = "\n".join(caught.value._render_traceback_())
    assert "── a ──" in trace
    assert "1 / 0" in re.sub(r"\x1b\[[\d;]*m", "", trace)
    assert "clouditia_jupyter" not in trace
    with pytest.raises(KeyError) as alike:
        shell.run(remote("{}[me]", "--on all"))
    assert isinstance(alike.value, errors.RemoteErrors)
    assert str(alike.value) == "failed in 2 of 2 sessions: a: KeyError: 'a'; b: KeyError: 'b'"
    with pytest.raises(errors.RemoteErrors) as unlike:
        shell.run(remote("int('x') if me == 'a' else {}['x']", "--on all"))
    assert [type(e).__name__ for e in unlike.value.errors.values()] == ["ValueError", "KeyError"]
    with pytest.raises(errors.RemoteErrors, match=r"a: .*no variable 'near'.*b: .*near"):
        shell.run(remote("nearly = 1", "--on all -o near"))
    with pytest.raises(errors.RemoteErrors, match=r"a: .*--trust-pickle.*b: .*--trust-pickle"):
        shell.run(remote("odd = {1, frozenset()}.__class__", "--on all -o odd"))
    shell.run(remote("odd = type('Odd', (), {'me': me})", "--on all -o odd --trust-pickle"))
    assert [cls.me for cls in shell.names["odd"].values()] == ["a", "b"]


def test_asking_fails_clearly_and_a_limit_holds_for_each(pair: Local, capsys: Capture) -> None:
    shell, _ = pair
    with pytest.raises(errors.RemoteErrors) as asked:
        shell.run(remote("input('name? ')", "--on all"))
    assert str(asked.value).count("StdinNotImplementedError") == 2
    with pytest.raises(errors.RemoteErrors) as late:
        shell.run(
            remote(f"if me == 'a':\n    {SLEEP.replace(chr(10), '; ')}", "--on all --timeout 1")
        )
    assert list(late.value.errors) == ["a"]
    assert isinstance(late.value.errors["a"], errors.WaitTimeoutError)
    assert "runs on and bills" in str(late.value)
    with pytest.raises(errors.RemoteErrors) as dear:
        shell.run(remote(SLEEP, "--on all --max-cost 0.0001"))
    assert str(dear.value).count("has cost 0.0001 EUR") == 2


def test_a_session_that_is_lost_stops_no_other(pair: Local, capsys: Capture) -> None:
    shell, manager = pair
    with pytest.raises(errors.RemoteErrors) as died:
        shell.run(remote("import os\nif me == 'a': os._exit(1)\nprint('on')", "--on all"))
    assert list(died.value.errors) == ["a"]
    assert isinstance(died.value.errors["a"], errors.SessionLostError)
    assert rows(capsys.readouterr().out)["b"] == ["on"]
    (gone,) = [s for s in manager.list_sessions(status="running") if s.name == "a"]
    opened = shell.ip.magics_manager.registry["ClouditiaMagics"].connection_now()
    listed = opened.sessions(["a", "b"])
    manager.stop_session(gone, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opened, "sessions", lambda _words: listed)  # it ended at this very moment
        with pytest.raises(errors.RemoteErrors, match=r"1 of 2 sessions: a: .*is stop"):
            shell.run(remote("print('still', me)", "--on a,b"))
    assert rows(capsys.readouterr().out) == {"b": ["still b"]}


def test_bad_sessions_are_refused_before_anything_runs(pair: Local) -> None:
    shell, manager = pair
    (a,) = [s for s in manager.list_sessions(status="running") if s.name == "a"]
    for line, says in (
        ("--on a,nowhere", "No session is called 'nowhere'"),
        ("--on a,a", "names a twice"),
        (f"--on a,{a.short_id}", r"names session a \(\w+\) twice"),
        ("--on a,,b", "must be all, or sessions"),
        ("--on all,a", "not both"),
        ("--on a --session b", "not both"),
        ("--on a,b --bg -o x", "leave -o out"),
    ):
        with pytest.raises(UsageError, match=says) as caught:
            shell.run(remote("ran = 1", line))
        assert type(caught.value) is UsageError
    manager.stop_session(a, verbose=False)
    with pytest.raises(errors.SessionStateError, match=r"a .*is stop"):
        shell.run(remote("ran = 1", f"--on b,{a.short_id}"))
    with pytest.raises(NameError):
        shell.run(remote("ran", "--session b"))
    manager.stop_session(next(s for s in manager.list_sessions("running")), verbose=False)
    with pytest.raises(errors.SessionNotFoundError, match="%clouditia create"):
        shell.run(remote("1", "--on all"))


def test_runs_in_the_background_begin_everywhere(pair: Local, capsys: Capture) -> None:
    shell, _ = pair
    shell.run(remote("print('later', me)", "--on all --bg"))
    assert re.search(r"a: run \w{8} goes on.*b: run \w{8} goes on", capsys.readouterr().out, re.S)
    for name in "ab":
        shell.run(f"%clouditia attach --session {name}")
        assert capsys.readouterr().out == f"later {name}\n"


def test_help_and_tracebacks_that_end_nothing_are_labelled(pair: Local, capsys: Capture) -> None:
    shell, _ = pair
    shell.run(
        remote(
            "def f():\n    'What it does.'\n    1 / 0\nf?\n"
            "try:\n    f()\nexcept ArithmeticError:\n    get_ipython().showtraceback()\n"
            "print('went on')",
            "--on all",
        )
    )
    for lines in rows(re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)).values():
        text = "\n".join(lines)
        assert "What it does." in text
        assert text.index("ZeroDivisionError") < text.index("went on")


def test_a_person_sees_what_it_cost_in_all(
    pair: Local, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, _ = pair
    monkeypatch.setattr("clouditia_jupyter.notebook.runner.can_ask", lambda _shell: True)
    with pytest.raises(errors.RemoteErrors):
        shell.run(remote("1 / 0", "--on all"))
    *_, footer = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\d\.\d\d s · 2 sessions · [\d.]+ EUR · [\d.]+ EUR so far", footer)
    shell.run("%config ClouditiaMagics.footer = False")
    shell.run(remote("1", "--on all"))
    assert "EUR" not in capsys.readouterr().out


def test_a_notebook_has_an_area_for_each_session(pair: Local) -> None:
    code = (
        "from IPython.display import HTML, clear_output, display\n"
        "for n in range(3):\n    print(me, n, flush=True)\n"
        "print('50%', end='\\r')\nprint('100%')\n"
        "h = display(HTML(f'<b>{me}</b>'), display_id='same')\nprint('after')\n"
        "h.update(HTML(f'<i>{me}</i>'))\nme"
    )
    cleared = (
        "display('x', display_id='own')\nprint('old')\nclear_output(wait=True)\nprint('new')\n"
        "import ipywidgets\nipywidgets.IntSlider(value=3)"
    )
    _, shown, again, failed = execute(
        "%config ClouditiaMagics.footer",
        remote(code, "--on a,b"),
        remote(cleared, "--on a,b"),
        remote("1 / 0", "--on a,b"),
        allow_errors=True,
    )
    by_name: dict[str, list[Any]] = {"a": [], "b": []}
    current = ""
    for output in shown.outputs:
        assert output.output_type == "display_data"
        head, text = re.fullmatch(
            r"(?:── (\w) ──\n?)?(.*)", output.data["text/plain"], re.S
        ).groups()
        current = head or current
        if text:
            by_name[current].append(output.data.get("text/html", text))
    for name, outputs in by_name.items():
        assert outputs == [
            f"{name} 0\n{name} 1\n{name} 2\n100%",
            f"<i>{name}</i>",
            f"after\n'{name}'",
        ]
    texts = [o.data["text/plain"] for o in again.outputs if o.data["text/plain"]]
    areas = {text.splitlines()[0]: text.splitlines()[1:] for text in texts}
    assert [len(areas[f"── {name} ──"]) for name in "ab"] == [2, 2]
    assert {lines[0] for lines in areas.values()} == {"new"}
    assert all("IntSlider" in lines[1] for lines in areas.values())
    assert not any("widget-view" in kind for o in again.outputs for kind in o.data)
    (error,) = failed.outputs
    assert error.ename == "RemoteErrors"
    assert error.evalue.startswith("failed in 2 of 2 sessions: a: ZeroDivisionError")


@pytest.fixture
def front_end(pair: Local) -> Iterator[FrontEnd]:
    made = FrontEnd(create=False)
    yield made
    made.close()


def test_the_first_interrupt_goes_to_all_and_the_second_kills(front_end: FrontEnd) -> None:
    def begun(text: str) -> None:
        seen: set[str] = set()
        while len(seen) < 2:
            message = front_end.until(
                lambda m: text in str(m["content"].get("data", {}).get("text/plain"))
            )
            seen.add(message["content"]["transient"]["display_id"])

    cell = front_end.remote(f"kept = 1\n{SLEEP}", "--on a,b")
    begun("begun")
    front_end.manager.interrupt_kernel()
    outputs = front_end.until_idle(cell)
    assert "Interrupting the sessions" in text_of(outputs)
    assert error_of(outputs)["ename"] == "KeyboardInterrupt"
    trace = "".join(error_of(outputs)["traceback"])
    assert trace.count("KeyboardInterrupt") >= 2
    assert "failed in 2 of 2 sessions" in trace
    assert front_end.run("%%clouditia_run --on a,b\nkept")[-1]["type"] == "display_data"

    deaf = front_end.remote(
        "import time\nprint('begun', flush=True)\nwhile True:\n    try:\n"
        "        time.sleep(600)\n    except KeyboardInterrupt:\n        print('deaf', flush=True)",
        "--on a,b",
    )
    begun("begun")
    front_end.manager.interrupt_kernel()
    begun("deaf")
    front_end.manager.interrupt_kernel()
    outputs = front_end.until_idle(deaf)
    assert error_of(outputs)["ename"] == "KeyboardInterrupt"
    said = str([o["data"] for o in outputs if o["type"] == "display_data"]) + str(front_end.seen)
    assert said.count("was killed: its variables are gone") >= 2
    failed = error_of(front_end.run("%%clouditia_run --on a,b\nkept"))
    assert failed["evalue"].count("NameError") == 2


def test_a_screen_goes_back() -> None:
    screen = Screen()
    assert not screen
    for text in ("abc\rX", "Y\n", "12\b3\r\n", "par", "t\r", "P"):
        screen.write(text)
    assert str(screen) == "XYc\n13\nPart"
    assert not screen.fresh
    assert screen.take() == "XYc\n13\n"
    assert str(screen) == "Part"
    screen.write("!\n")
    assert screen.take() == "P!rt\n"
    assert screen.fresh


def test_an_area_that_grows_long_goes_on_in_another(monkeypatch: pytest.MonkeyPatch) -> None:
    published: dict[str, str] = {}
    sent = 0

    class Publisher:
        def publish(self, data: Any, metadata: Any, transient: Any, update: bool) -> None:
            nonlocal sent
            sent += len(data["text/plain"])
            assert update == (transient["display_id"] in published)
            published[transient["display_id"]] = data["text/plain"]

    class Shell:
        display_pub = Publisher()

    monkeypatch.setattr(labelled, "REFRESH", 0.0)  # the most there can be
    areas = labelled.Areas(Shell())  # type: ignore[arg-type]
    lines = [f"{'x' * 80} {n}\n" for n in range(10_000)]
    for start in range(0, len(lines), 100):
        areas.text("a", "".join(lines[start : start + 100]))
    areas.close()
    first, *others = published.values()
    bodies = [first.removeprefix("── a ──\n"), *others]
    assert "\n".join(bodies) + "\n" == "".join(lines)
    assert len(bodies) > 5
    assert sent < 10 * sum(map(len, lines))
    assert isinstance(labelled.outputs_of(Shell(), ["a"]), labelled.Lines)  # type: ignore[arg-type]


def test_lines_of_a_terminal_stay_apart(capsys: Capture) -> None:
    lines = labelled.Lines(["a", "long"])
    lines.text("a", "one\ntw")
    lines.text("long", "other\n")
    lines.text("a", "o\n0%\r99%\rdone")
    lines.text("a", "bad\n", error=True)
    lines.refresh()
    lines.close()
    shown = capsys.readouterr()
    assert shown.out == "a    | one\nlong | other\na    | two\na    | done\n"
    assert shown.err == "a    | bad\n"
