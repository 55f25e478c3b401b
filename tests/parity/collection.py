"""The cells that are compared: ``cells/*.ipy``, one notebook a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "cells"
_MARK = re.compile(r"^# %% (.+)\n", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell of one notebook.

    Attributes
    ----------
    notebook
        The stem of its file.
    title
        What it shows; unique within its notebook.
    source
        Its code, as somebody would type it.
    """

    notebook: str
    title: str
    source: str

    @property
    def name(self) -> str:
        """``notebook: title``."""
        return f"{self.notebook}: {self.title}"


def notebooks() -> dict[str, list[Cell]]:
    """Return the cells of every notebook, in the order in which they are executed."""
    return {path.stem: _cells(path) for path in sorted(FOLDER.glob("*.ipy"))}


def _cells(path: Path) -> list[Cell]:
    before, *parts = _MARK.split(path.read_text(encoding="utf-8"))
    assert not before, f"{path} begins with no title"
    pairs = zip(parts[::2], parts[1::2], strict=True)
    cells = [Cell(path.stem, title, source.removesuffix("\n")) for title, source in pairs]
    titles = [cell.title for cell in cells]
    twice = {title for title in titles if titles.count(title) > 1}
    assert not twice, f"{path} has titles twice: {twice}"
    return cells
