"""Cells come out of a session as they come out of a local kernel, output for output.

Each file of ``cells/`` is executed as a notebook three times, as ``jupyter execute`` does it: in a
stock kernel; cell by cell behind ``%%clouditia_run``, in a session with event streams; and the same
through the agent, on a platform that serves what clouditia.com does.
"""

from __future__ import annotations

import gc
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.parity import differences
from tests.parity.collection import notebooks
from tests.parity.sides import Side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parity.fold import Folded
    from tests.running import RunningPlatform

#: What is being executed, or has been: by side and notebook.
Executed: TypeAlias = "dict[tuple[str, str], Future[list[Folded]]]"

NOTEBOOKS = notebooks()
PATHS = ("pod", "agent")
#: Of all cells, and those that may differ for a good reason.
AT_LEAST, MAY_DIFFER = 150, 0.005

# nbclient and jupyter_client leave sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(scope="module")
def executed(
    platform: RunningPlatform,
    stock_platform: RunningPlatform,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Executed]:
    """Begin to execute every notebook on every side, some at once."""
    sides = {
        "local": Side(),
        "pod": Side.session(platform.state),
        "agent": Side.session(stock_platform.state),
    }
    folder = tmp_path_factory.mktemp("parity")
    with ThreadPoolExecutor(len(sides)) as pool:
        yield {
            (name, notebook): pool.submit(side.execute, cells, folder / name / notebook)
            for notebook, cells in NOTEBOOKS.items()
            for name, side in sides.items()
        }
        pool.shutdown(cancel_futures=True)
    gc.collect()  # while the mark above holds


@pytest.mark.parametrize("notebook", NOTEBOOKS)
@pytest.mark.parametrize("path", PATHS)
def test_cells_come_out_as_local_ones(executed: Executed, path: str, notebook: str) -> None:
    local, remote = (executed[side, notebook].result() for side in ("local", path))
    reasons = differences.explained(path, notebook)
    cells = zip(NOTEBOOKS[notebook], local, remote, strict=True)
    differing = {cell.title: differences.told(a, b) for cell, a, b in cells if a != b}
    for title, difference in differing.items():
        assert title in reasons, f"{notebook}: {title}\n{difference}"
    assert set(reasons) == set(differing), "explained, and yet the same"


def test_there_are_many_cells_and_few_differences() -> None:
    names = {cell.name for cells in NOTEBOOKS.values() for cell in cells}
    assert len(names) >= AT_LEAST
    assert differences.all_names() <= names
    for path in PATHS:
        excused = sum(len(differences.explained(path, notebook)) for notebook in NOTEBOOKS)
        assert excused <= len(names) * MAY_DIFFER
