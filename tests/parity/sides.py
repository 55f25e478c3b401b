"""Where the cells are executed: in a stock kernel, and from another one in a session."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from tests.parity.fold import Fold

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.parity.collection import Cell
    from tests.parity.fold import Folded

_TIMEOUT = 60
_MAGIC = "%%clouditia_run\n"


@dataclass(frozen=True)
class Side:
    """One way to execute notebooks, as ``jupyter execute --allow-errors`` does.

    Attributes
    ----------
    before, after
        Local cells around those that are compared.
    magic
        What each cell begins with; empty where it is executed as it is.
    environment
        What the environment of its kernels has of its own.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    magic: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def session(cls, state: Path) -> Side:
        """Return the way through a session on the platform of a state folder."""
        create = "%clouditia create --gpu nvidia-rtx-3060ti --vcpu 1 --ram 3"
        return cls(
            before=("%load_ext clouditia_jupyter", create),
            after=("%clouditia stop",),
            magic=_MAGIC,
            environment={"CLOUDITIA_STATE": str(state)},
        )

    def execute(self, cells: Sequence[Cell], place: Path) -> list[Folded]:
        """Return the folded outputs of the cells, executed one after the other.

        Parameters
        ----------
        place
            A folder for the notebook's kernel, made here.
        """
        return asyncio.run(self._execute(cells, place))

    async def _execute(self, cells: Sequence[Cell], place: Path) -> list[Folded]:
        work, profile = place / "work", place / "profile"
        work.mkdir(parents=True)
        sources = [self.magic + cell.source for cell in cells]
        # last, as every cell changes the history that the later ones see
        where = self.magic + "import os; print(os.getcwd(), os.path.expanduser('~'), sep='\\n')"
        notebook = nbformat.v4.new_notebook(
            cells=[
                nbformat.v4.new_code_cell(source)
                for source in (*self.before, *sources, where, *self.after)
            ]
        )
        manager = AsyncKernelManager(kernel_name="python3")
        client = NotebookClient(notebook, km=manager, timeout=_TIMEOUT, allow_errors=True)
        # under pytest, ipykernel would not see what is written to the process's own streams
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
        env = {**inherited, **self.environment, "IPYTHONDIR": str(profile)}
        async with client.async_setup_kernel(cwd=str(work), env=env):
            for index, cell in enumerate(notebook.cells):
                await client.async_execute_cell(cell, index)
        first = len(self.before)
        own = notebook.cells[first : first + len(cells)]
        others = [*notebook.cells[:first], *notebook.cells[first + len(cells) :]]
        failed = [o for cell in others for o in cell.outputs if o.output_type == "error"]
        assert not failed, failed
        folder, home = "".join(output.text for output in others[first].outputs).split()
        fold = Fold(folder, home)
        return [fold(cell.outputs) for cell in own]


def local() -> Side:
    """Return the way that every notebook goes."""
    return Side()
