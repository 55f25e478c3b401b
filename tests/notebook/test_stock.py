"""What a cell on the stock service cannot have, and what its user sees instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.notebook.front_end import FrontEnd, error_of, text_of
from tests.notebook.test_run import CREATE, execute, remote
from tests.notebook.test_run import text_of as text_of_cell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.notebook.conftest import Local

pytestmark = [
    pytest.mark.parametrize("state", ["agent"], indirect=True),
    # jupyter_client leaves sockets to the garbage collector
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SLIDER = (
    "import ipywidgets as w\nslider = w.IntSlider(description='speed', max=100)\n"
    "slider.observe(lambda change: print('now', change.new), 'value')\ndisplay(slider)\nslider"
)


@pytest.fixture
def front_end(local: Local) -> Iterator[FrontEnd]:
    made = FrontEnd()
    yield made
    made.close()


def test_a_widget_shows_as_text_and_works_within_its_cells(local: Local) -> None:
    _, shown, moved, bar = execute(
        CREATE,
        remote(SLIDER),
        remote("slider.value = 7"),
        remote("from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass"),
    )
    for output in shown.outputs:
        assert list(output.data) == ["text/plain"]
        assert "IntSlider(value=0, description='speed'" in output.data["text/plain"]
    assert len(shown.outputs) == 2
    assert text_of_cell(moved) == "now 7\n"
    assert "3/3" in text_of_cell(bar, "stderr")


def test_what_asks_fails_the_cell_though_a_person_is_there(front_end: FrontEnd) -> None:
    for code, what in (
        ("input('Name? ')", "raw_input"),
        ("import getpass\ngetpass.getpass()", "getpass"),
        ("import pdb\npdb.set_trace()", "raw_input"),
    ):
        error = error_of(front_end.until_idle(front_end.remote(f"kept = 1\n{code}")))
        assert error["ename"] == "StdinNotImplementedError"
        assert error["evalue"].startswith(f"{what} was called, but this")
        assert "does not support input requests" in error["evalue"]
    assert text_of(front_end.until_idle(front_end.remote("print(kept)"))) == "1\n"
