"""``%%clouditia_run`` in a real notebook kernel, on a real platform and a real remote kernel."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.notebook.conftest import Local

SETUP = "%load_ext clouditia_jupyter"
CREATE = "%clouditia create --gpu nvidia-rtx-3060ti --name remote"

# nbclient and jupyter_client leave sockets to the garbage collector
pytestmark = [
    pytest.mark.both_paths,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def execute(*cells: str, allow_errors: bool = False) -> list[Any]:
    """Return the executed cells of a notebook that has the extension loaded."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in (SETUP, *cells)],
        metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
    )
    NotebookClient(notebook, timeout=60, allow_errors=allow_errors).execute()
    return notebook.cells[1:]


def text_of(cell: Any, name: str = "stdout") -> str:
    return "".join(o.text for o in cell.outputs if o.output_type == "stream" and o.name == name)


def remote(code: str, line: str = "") -> str:
    return f"%%clouditia_run {line}\n{code}"


def test_a_notebook_runs_from_create_to_stop(local: Local) -> None:
    cells = execute(
        CREATE,
        remote("x = 20\nprint('out')\nimport sys\nprint('err', file=sys.stderr)\nx + 1"),
        remote("x + 2"),
        remote("from IPython.display import HTML, display\ndisplay(HTML('<b>bold</b>'))"),
        remote("import pandas as pd\npd.DataFrame({'a': [1]})"),
        remote("import matplotlib.pyplot as plt\nplt.plot([1, 2]);"),
        "local = [1, 2]\nfactor = 10",
        remote("total = sum(local) * f", "-i local,f=factor+1 -o total,again=total"),
        "(total, again)",
        "df = %clouditia costs\ndf['currency'].iloc[0]",
        "%clouditia stop",
    )
    create, first, second, html, frame, figure, _, _, back, costs, stop = cells

    # one line that was updated, then the summary
    (progress,) = [o for o in create.outputs if o.output_type == "display_data"]
    assert "is ready after" in progress.data["text/plain"]
    assert "1 x nvidia-rtx-3060ti" in text_of(create)

    assert text_of(first) == "out\n"
    assert text_of(first, "stderr") == "err\n"
    result = first.outputs[-1]
    assert result.output_type == "execute_result"
    assert result.data["text/plain"] == "21"
    assert result.execution_count == first.execution_count
    assert second.outputs[-1].data["text/plain"] == "22"
    assert html.outputs[0].data["text/html"] == "<b>bold</b>"
    assert "<table" in frame.outputs[0].data["text/html"]
    assert "image/png" in figure.outputs[0].data
    assert back.outputs[0].data["text/plain"] == "(33, 33)"
    assert "EUR" in costs.outputs[0].data["text/plain"]
    assert "is stopped: it ran" in text_of(stop)


def test_an_error_fails_the_cell_as_a_local_one_would(local: Local) -> None:
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        execute(CREATE, remote("def f():\n    return 1 / 0\nf()"), "never = 1")
    cells = execute(
        remote("def f():\n    return 1 / 0\nf()"),
        remote("def f(:"),
        remote("import sys\nsys.exit(3)"),
        "try:\n    get_ipython().run_cell_magic('clouditia_run', '', 'int(\"x\")')\n"
        "except ValueError as error:\n    print(type(error).__mro__[1].__name__, error)",
        allow_errors=True,
    )
    (failed,) = cells[0].outputs
    assert (failed.output_type, failed.ename) == ("error", "ZeroDivisionError")
    assert failed.evalue == "division by zero"
    trace = "\n".join(failed.traceback)
    assert "return" in trace
    assert "clouditia_jupyter" not in trace
    (syntax,) = cells[1].outputs
    assert syntax.ename == "SyntaxError"
    assert "clouditia_jupyter" not in "\n".join(syntax.traceback)
    # as locally: behind the error, IPython says how to exit
    exited, advice = cells[2].outputs
    assert (exited.ename, exited.evalue) == ("SystemExit", "3")
    assert advice.name == "stderr"
    assert text_of(cells[3]).startswith("RemoteError invalid literal for int()")


def test_displays_can_be_updated_from_a_later_cell(local: Local) -> None:
    _, first, _, cleared = execute(
        CREATE,
        remote("from IPython.display import display\nh = display('old', display_id=True)"),
        remote("h.update('new')"),
        remote("from IPython.display import clear_output\nprint('a')\nclear_output()\nprint('b')"),
    )
    assert first.outputs[0].data["text/plain"] == "'new'"
    assert text_of(cleared) == "b\n"


def test_capture_captures_a_remote_cell(local: Local) -> None:
    cells = execute(
        CREATE,
        "%%capture got\n" + remote("print('hidden')\n6 * 7"),
        "got.stdout, got.outputs[0].data['text/plain']",
    )
    assert cells[1].outputs == []
    assert cells[2].outputs[0].data["text/plain"] == "('hidden\\n', '42')"


def test_a_session_is_used_without_asking_where_it_is_the_only_one(local: Local) -> None:
    none, _, used, _, several, named = execute(
        remote("1"),
        CREATE + " --no-wait\nimport time",
        "%clouditia use remote\n%clouditia status",
        "%clouditia create --gpu nvidia-rtx-3060ti --name other",
        "get_ipython().magics_manager.registry['ClouditiaMagics']._parts()[0]"
        ".connection.current = None\nget_ipython().run_cell_magic('clouditia_run', '', '1')",
        remote("5", "--session other"),
        allow_errors=True,
    )
    assert none.outputs[0].ename == "SessionNotFoundError"
    assert "%clouditia create" in none.outputs[0].evalue
    assert "current" in text_of(used)
    assert several.outputs[0].ename == "SessionStateError"
    assert "other" in several.outputs[0].evalue
    assert named.outputs[0].data["text/plain"] == "5"


def test_a_missing_name_is_an_error_that_names_near_ones(local: Local) -> None:
    _, _, sent, wrong, fetched = execute(
        CREATE,
        "metrics = 1",
        remote("1", "-i metrcs"),
        remote("1", "-i metrcs=metrics/0"),
        remote("results = 1", "-o result"),
        allow_errors=True,
    )
    assert "perhaps you mean metrics" in text_of(sent, "stderr")
    assert "'metrics / 0': ZeroDivisionError: division by zero" in text_of(wrong, "stderr")
    assert "results" in fetched.outputs[-1].evalue


def test_a_time_limit_interrupts_and_says_that_the_session_bills(local: Local) -> None:
    _, late, after = execute(
        CREATE,
        remote("import time\nprint('begun', flush=True)\ntime.sleep(600)", "--timeout 1"),
        remote("'still here'"),
        allow_errors=True,
    )
    assert "begun" in text_of(late)
    assert late.outputs[-1].ename == "WaitTimeoutError"
    assert "runs on and bills" in late.outputs[-1].evalue
    assert after.outputs[0].data["text/plain"] == "'still here'"


def test_a_time_limit_that_is_not_heeded_kills_the_kernel(local: Local) -> None:
    _, _, deaf, after = execute(
        "import clouditia_jupyter.notebook.follow as follow\nfollow.GRACE = 0.2",
        CREATE,
        remote(
            "lost = 1\nimport time\nwhile True:\n    try:\n        time.sleep(600)\n"
            "    except KeyboardInterrupt:\n        pass",
            "--timeout 1",
        ),
        remote("lost"),
        allow_errors=True,
    )
    assert deaf.outputs[-1].ename == "WaitTimeoutError"
    assert "its kernel was killed, and its variables are gone" in deaf.outputs[-1].evalue
    assert after.outputs[-1].ename == "NameError"


def test_a_kernel_that_dies_is_said(local: Local) -> None:
    _, died, after = execute(
        CREATE,
        remote("import os\nos._exit(1)"),
        remote("'a fresh kernel'"),
        allow_errors=True,
    )
    assert died.outputs[-1].ename == "SessionLostError"
    assert "its variables are gone" in died.outputs[-1].evalue
    assert after.outputs[0].data["text/plain"] == "'a fresh kernel'"


class Kernel:
    """A notebook kernel that is driven cell by cell, so that it can be interrupted."""

    def __init__(self) -> None:
        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def send(self, code: str, *, allow_stdin: bool = False) -> str:
        return self.client.execute(code, allow_stdin=allow_stdin)

    def until(self, parent: str, text: str) -> list[dict[str, Any]]:
        """Return the outputs of a cell up to one that holds ``text``, or up to its end."""
        seen = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != parent:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return seen
            seen.append({"type": message["msg_type"], **content})
            if text and text in str(content.get("text")):
                return seen

    def run(self, code: str, *, allow_stdin: bool = False) -> list[dict[str, Any]]:
        return self.until(self.send(code, allow_stdin=allow_stdin), "")


@pytest.fixture
def kernel(local: Local) -> Iterator[Kernel]:
    made = Kernel()
    try:
        made.run(SETUP)
        made.run(CREATE)
        yield made
    finally:
        made.client.stop_channels()
        made.manager.shutdown_kernel(now=True)


def test_an_interrupt_stops_the_remote_code_and_shows_what_it_still_prints(
    kernel: Kernel,
) -> None:
    cell = kernel.send(
        remote(
            "kept = 1\nimport time\nprint('begun', flush=True)\n"
            "try:\n    time.sleep(600)\nfinally:\n    print('cleaned up')"
        )
    )
    kernel.until(cell, "begun")
    kernel.manager.interrupt_kernel()
    rest = kernel.until(cell, "")
    assert "cleaned up" in "".join(o["text"] for o in rest if o["type"] == "stream")
    (error,) = [o for o in rest if o["type"] == "error"]
    assert error["ename"] == "KeyboardInterrupt"
    assert "time.sleep" in "".join(error["traceback"])
    assert "clouditia_jupyter" not in "".join(error["traceback"])
    (_, result) = [o for o in kernel.run(remote("kept")) if o["type"] != "status"]
    assert result["data"]["text/plain"] == "1"


def test_a_second_interrupt_kills_the_remote_kernel(kernel: Kernel) -> None:
    cell = kernel.send(
        remote(
            "lost = 1\nimport time\nprint('begun', flush=True)\n"
            "while True:\n    try:\n        time.sleep(600)\n"
            "    except KeyboardInterrupt:\n        print('deaf', flush=True)"
        )
    )
    kernel.until(cell, "begun")
    kernel.manager.interrupt_kernel()
    kernel.until(cell, "deaf")
    kernel.manager.interrupt_kernel()
    rest = kernel.until(cell, "")
    assert "its variables are gone" in "".join(o["text"] for o in rest if o["type"] == "stream")
    assert [o["ename"] for o in rest if o["type"] == "error"] == ["KeyboardInterrupt"]
    (error,) = [o for o in kernel.run(remote("lost")) if o["type"] == "error"]
    assert error["ename"] == "NameError"


def test_a_footer_is_shown_to_a_person_unless_switched_off(kernel: Kernel) -> None:
    def footers(outputs: list[dict[str, Any]]) -> list[str]:
        return [o["data"]["text/plain"] for o in outputs if o["type"] == "display_data"]

    (footer,) = footers(kernel.run(remote("1"), allow_stdin=True))
    assert re.fullmatch(r"\d+\.\d\d s · nvidia-rtx-3060ti · [\d.]+ EUR · [\d.]+ EUR so far", footer)
    failed = kernel.run(remote("1 / 0"), allow_stdin=True)
    assert len(footers(failed)) == 1  # it has cost as much
    assert failed[-1]["ename"] == "ZeroDivisionError"
    assert footers(kernel.run(remote("1"))) == []
    kernel.run("%config ClouditiaMagics.footer = False")
    assert footers(kernel.run(remote("1"), allow_stdin=True)) == []


def test_no_key_is_anywhere_in_an_executed_notebook(local: Local, state: Path) -> None:
    cells = execute(
        CREATE,
        remote("1"),
        "%clouditia key",
        "%clouditia",
        "%clouditia sessions",
        "%clouditia show",
        "[repr(o) for o in list(Out.values())]",
        "repr(get_ipython().magics_manager.registry['ClouditiaMagics']._parts()[0]"
        ".connection.__dict__)",
    )
    text = nbformat.writes(nbformat.v4.new_notebook(cells=cells))
    account_key = json.loads((state / "platform.json").read_text())["api_key"]
    _, manager = local
    (session,) = manager.list_sessions(status="running")
    assert account_key not in text
    assert session.password
    assert session.password not in text
    assert "sk_live_" in text  # masked
    assert re.findall(r"sk_live_\w{5,}", text) == []


def test_code_arrives_as_it_was_typed(local: Local) -> None:
    code = "def f():\n    return '''a\n    \n \tb'''\n  \n\nf()"
    raw = "get_ipython().history_manager.input_hist_raw[-2]"
    *_, there = execute(CREATE, remote(code), remote(raw))
    assert there.outputs[0].data["text/plain"] == repr(code)


@pytest.mark.parametrize("end", ["", "\n", "\n\n"])
def test_a_mistake_is_in_the_same_file_there(local: Local, end: str) -> None:
    code = f"def f():\n    return 1\n    \nprint 1{end}"
    *_, here, there = execute(CREATE, code, remote(code), allow_errors=True)
    assert there.outputs[-1].evalue == here.outputs[-1].evalue
