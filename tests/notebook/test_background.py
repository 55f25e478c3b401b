"""Runs that nobody waits for: begun, listed, followed, cancelled, from any notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from IPython.core.error import UsageError

from clouditia_jupyter import errors
from clouditia_jupyter.models import GPUSession
from clouditia_jupyter.notebook import resolve
from tests.notebook.front_end import FrontEnd, error_of, text_of
from tests.notebook.gate import Gate
from tests.notebook.test_run import CREATE, execute, remote
from tests.notebook.test_run import text_of as text_of_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clouditia_jupyter import GPUManager
    from tests.notebook.conftest import Local, Shell

Capture = pytest.CaptureFixture[str]

# jupyter_client leaves sockets to the garbage collector
pytestmark = [
    pytest.mark.both_paths,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SLEEP = "import time\nprint('begun', flush=True)\ntime.sleep(600)"


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as made:
        yield made


def session_in(shell: Shell, manager: GPUManager, name: str) -> GPUSession:
    made = manager.create_session("nvidia-rtx-3060ti", verbose=False)
    assert isinstance(made, GPUSession)
    manager.rename_session(made, name)
    shell.run(f"%clouditia use {name}")
    return manager.get_session(made)


def begin(shell: Shell, code: str, line: str = "") -> str:
    """Begin a run in the background and return its id."""
    before = shell.run("%clouditia runs --all").index
    shell.run(remote(code, f"--bg {line}"))
    (run_id,) = shell.run("%clouditia runs --all").index.difference(before)
    return str(run_id)


def state_of(shell: Shell, run_id: str) -> str:
    status: str = shell.run("%clouditia runs --all").loc[run_id, "status"]
    return status


def ended(shell: Shell, run_id: str) -> str:
    """Return the status of a run once it is over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("clouditia_jupyter.notebook.background.show_all", _until_done)
        patch.setattr(
            "clouditia_jupyter.notebook.background.require_success", lambda *_ignored: None
        )
        shell.run(f"%clouditia attach {run_id}")
    return state_of(shell, run_id)


def _until_done(stream: Any, *_ignored: Any) -> None:
    for _event in stream:
        pass


def test_a_new_notebook_shows_a_run_from_its_beginning_and_goes_on_live(
    local: Local, gate: Gate
) -> None:
    code = (
        "from IPython.display import HTML, display\nprint('first')\n"
        "h = display('old', display_id=True)\ndisplay(HTML('<b>rich</b>'))\n"
        f"{gate.code}h.update('new')\nprint('last')\n6 * 7"
    )
    _, begun, other = execute(CREATE, remote(code, "--bg"), "1 + 1")
    assert "goes on by itself in remote" in text_of_cell(begun)
    assert "%clouditia attach" in text_of_cell(begun)
    assert other.outputs[0].data["text/plain"] == "2"

    gate.open()
    _, attached = execute("0", "%clouditia attach")
    assert text_of_cell(attached) == "first\nlast\n"
    kinds = [o.output_type for o in attached.outputs]
    assert kinds == ["stream", "display_data", "display_data", "stream", "execute_result"]
    assert attached.outputs[1].data["text/plain"] == "'new'"
    assert attached.outputs[2].data["text/html"] == "<b>rich</b>"
    assert attached.outputs[4].data["text/plain"] == "42"
    _, again = execute("0", "%clouditia attach")
    assert again.outputs == attached.outputs


def test_attaching_to_a_run_that_failed_fails_as_its_cell_would(local: Local) -> None:
    code = "print('before')\ndef f():\n    return int('x')\nf()"
    cells = execute(
        CREATE,
        remote(code),
        remote(code, "--bg"),
        "%clouditia attach",
        "try:\n    get_ipython().run_line_magic('clouditia', 'attach')\n"
        "except ValueError as error:\n    print('caught', error)",
        allow_errors=True,
    )
    cell, attached, caught = cells[1], cells[3], cells[4]
    assert attached.outputs[0] == cell.outputs[0]
    there, here = cell.outputs[1], attached.outputs[1]
    assert (here.output_type, here.ename, here.evalue) == ("error", there.ename, there.evalue)
    assert "clouditia_jupyter" not in "".join(here.traceback)
    assert "caught invalid literal" in text_of_cell(caught)


@pytest.fixture
def front_end(local: Local) -> Iterator[FrontEnd]:
    made = FrontEnd()
    yield made
    made.close()


def test_an_interrupt_of_attach_detaches_and_the_run_goes_on(
    front_end: FrontEnd, gate: Gate
) -> None:
    begun = text_of(front_end.run(remote(f"print('begun')\n{gate.code}print('done')", "--bg")))
    short = begun.split()[1]
    for _ in range(2):
        cell = front_end.send("%clouditia attach")
        front_end.until(lambda m: m["content"].get("text") == "begun\n")
        front_end.manager.interrupt_kernel()
        outputs = front_end.until_idle(cell)
        assert f"Detached: run {short} goes on" in text_of(outputs)
        assert f"%clouditia cancel {short}" in text_of(outputs)
        assert error_of(outputs)["ename"] == "KeyboardInterrupt"
        assert error_of(outputs)["traceback"] == ["KeyboardInterrupt"]
    gate.open()
    assert text_of(front_end.run(f"%clouditia attach {short}")) == "begun\ndone\n"


def test_cancel_interrupts_a_run(front_end: FrontEnd) -> None:
    begun = text_of(front_end.run(remote(f"kept = 1\n{SLEEP}", "--bg")))
    short = begun.split()[1]
    cell = front_end.send(f"%clouditia attach {short}")
    front_end.until(lambda m: m["content"].get("text") == "begun\n")
    front_end.manager.interrupt_kernel()
    front_end.until_idle(cell)
    assert f"Run {short} was interrupted" in text_of(front_end.run(f"%clouditia cancel {short}"))
    failed = error_of(front_end.run(f"%clouditia attach {short}"))
    assert failed["ename"] == "KeyboardInterrupt"
    assert "time.sleep" in "".join(failed["traceback"])
    assert "has ended before (error)" in text_of(front_end.run(f"%clouditia cancel {short}"))
    (result,) = front_end.run(remote("kept"))
    assert result["data"]["text/plain"] == "1"


def test_a_queued_run_can_be_cancelled_and_a_deaf_one_killed(local: Local, capsys: Capture) -> None:
    shell, manager = local
    session_in(shell, manager, "deaf")
    deaf = begin(
        shell,
        "import time\nlost = 1\nwhile True:\n    try:\n        time.sleep(600)\n"
        "    except KeyboardInterrupt:\n        pass",
    )
    shell.run(remote("print('never')", "--bg"))
    frame = shell.run("%clouditia runs")
    queued = next(run for run in frame.index if run != deaf)
    assert frame.loc[queued, "status"] == "queued"
    assert pd.isna(frame.loc[queued, "started"])
    shell.run(f"%clouditia cancel {queued[:8]}")
    assert "will not begin" in capsys.readouterr().out
    assert state_of(shell, queued) == "lost"
    with pytest.raises(errors.SessionLostError, match="cancelled before it began"):
        shell.run(f"%clouditia attach {queued}")

    shell.run(f"%clouditia cancel {deaf}")
    assert state_of(shell, deaf) == "running"
    capsys.readouterr()
    shell.run(f"%clouditia cancel {deaf} --kill")
    assert "its variables are gone" in capsys.readouterr().out
    assert state_of(shell, deaf) == "lost"
    with pytest.raises(errors.SessionLostError, match=r"kernel was restarted.*bills"):
        shell.run(f"%clouditia attach {deaf}")
    with pytest.raises(NameError):
        shell.run(remote("lost"))


def test_runs_are_a_table_of_one_session_or_all(local: Local) -> None:
    shell, manager = local
    one = session_in(shell, manager, "one")
    assert len(shell.run("%clouditia runs")) == 0
    shell.run(remote("\n# a note\nimport time; time.sleep(0.2)"))
    with pytest.raises(ZeroDivisionError):
        shell.run(remote("1 / 0"))
    session_in(shell, manager, "two")
    shell.run(remote("two = 2"))

    frame = shell.run("%clouditia runs")
    assert list(frame["session"]) == ["two"]
    frame = shell.run("%clouditia runs --session one")
    assert frame.index.name == "run_id"
    columns = ["session", "gpu", "started", "seconds", "euros", "status", "first_line"]
    assert list(frame.columns) == columns
    assert str(frame["started"].dtype) == "datetime64[ns, UTC]"
    assert list(frame["status"]) == ["error", "ok"]
    assert list(frame["first_line"]) == ["1 / 0", "# a note"]
    assert list(frame["gpu"]) == ["nvidia-rtx-3060ti"] * 2
    slept = frame.iloc[1]
    assert slept["seconds"] >= 0.2
    rate = manager.get_session_cost(one)["hourly_rate"]
    assert rate > 0
    assert slept["euros"] == pytest.approx(rate * slept["seconds"] / 3600)
    assert one.started_at is not None
    assert frame["started"].min() >= one.started_at
    frame = shell.run("%clouditia runs --all")
    assert list(frame["session"])[:3] in (["one", "one", "two"], ["two", "one", "one"])
    with pytest.raises(UsageError, match="not both"):
        shell.run("%clouditia runs --all --session one")


def test_logs_are_what_was_printed_so_far(local: Local, gate: Gate, capsys: Capture) -> None:
    shell, manager = local
    session_in(shell, manager, "logged")
    lines = [str(n) for n in range(100)]
    code = (
        "import sys\nprint(*range(100), sep='\\n', flush=True)\n"
        f"print('to stderr', file=sys.stderr, flush=True)\n{gate.code}1 / 0"
    )
    run_id = begin(shell, code)

    def logs(line: str) -> list[str]:
        capsys.readouterr()
        shell.run(f"%clouditia logs {line}")
        return capsys.readouterr().out.splitlines()

    while (said := logs(run_id[:6]))[-1] != "to stderr":
        assert state_of(shell, run_id) == "running"
    assert said == [*lines, "to stderr"]
    assert logs("--tail 3") == ["98", "99", "to stderr"]
    gate.open()
    assert ended(shell, run_id) == "error"
    said = logs(run_id)
    assert said[:101] == [*lines, "to stderr"]
    assert "ZeroDivisionError" in said[-1]
    shell.run(remote("1"))
    assert "has printed nothing (ok)" in logs("")[0]


def test_without_a_name_it_is_the_newest_that_has_begun(local: Local, capsys: Capture) -> None:
    shell, manager = local
    session_in(shell, manager, "busy")
    with Gate() as gate:
        begin(shell, f"print('the first')\n{gate.code}")
        waiting = begin(shell, "print('never')")
        shell.run(f"%clouditia cancel {waiting}")
    newest = begin(shell, "print('the newest')")
    assert ended(shell, newest) == "ok"
    capsys.readouterr()
    shell.run("%clouditia logs")
    assert capsys.readouterr().out == "the newest\n"


def test_a_run_is_found_in_whichever_session_it_is(local: Local, capsys: Capture) -> None:
    shell, manager = local
    session_in(shell, manager, "far")
    far = begin(shell, "print('from far')")
    assert ended(shell, far) == "ok"
    session_in(shell, manager, "near")
    with pytest.raises(errors.JobNotFoundError, match=r"no-such.*%clouditia runs --all"):
        shell.run("%clouditia attach no-such")
    shell.run(remote("print('from near')"))
    capsys.readouterr()
    shell.run("%clouditia attach")  # the current session's comes first
    shell.run(f"%clouditia attach {far[:8]}")
    assert capsys.readouterr().out == "from near\nfrom far\n"
    with pytest.raises(errors.JobNotFoundError, match="No run that is kept is called"):
        shell.run(f"%clouditia attach {far} --session near")


def test_a_limit_is_kept_by_the_session_itself(local: Local, capsys: Capture) -> None:
    shell, manager = local
    session_in(shell, manager, "limited")
    slow = begin(shell, SLEEP, "--timeout 1")
    assert ended(shell, slow) == "error"
    capsys.readouterr()
    with pytest.raises(errors.RemoteError) as caught:
        shell.run(f"%clouditia attach {slow}")
    assert caught.value.ename == "KeyboardInterrupt"
    shown = capsys.readouterr()
    assert shown.out.startswith("begun\n")
    assert "reached its limit of 1 s" in shown.err
    dear = begin(shell, SLEEP, "--max-cost 0.0001 --timeout 1h")
    assert ended(shell, dear) == "error"


def test_nothing_can_be_brought_back_from_a_run_that_goes_on(local: Local) -> None:
    shell, manager = local
    session_in(shell, manager, "plain")
    shell.ip.user_ns["here"] = 20
    with pytest.raises(UsageError, match="leave -o out"):
        shell.run(remote("x = 1", "--bg -o x"))
    assert len(shell.run("%clouditia runs")) == 0
    run_id = begin(shell, "print(sent + 1)", "-i sent=here+1")
    assert ended(shell, run_id) == "ok"


def test_ids_may_be_shortened_as_long_as_they_say_which() -> None:
    class Item:
        def __init__(self, run_id: str) -> None:
            self.run_id = run_id

    first, second = Item("aabb" + "0" * 28), Item("aacc" + "0" * 28)
    assert resolve.run([first, second], "aab") is first
    assert resolve.run([first, second], second.run_id) is second
    with pytest.raises(errors.AmbiguousIdError, match="fits 2 runs: aabb00000000, aacc00000000"):
        resolve.run([first, second], "aa")
    with pytest.raises(errors.JobNotFoundError, match="perhaps you mean aabb0000"):
        resolve.run([first, second], "aabb0001")
