"""Whole-notebook mode: ``%clouditia auto on`` sends every following cell to the current session.

A cell becomes a ``%%clouditia_run`` cell before IPython reads it, so that nothing of it, not even a
mistake, is understood here. Cells that begin with our own magics stay, and so do single lines with
one; whatever is no cell of the user's stays too: what front ends run for themselves, and what a
cell runs in its turn.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import make_tokens_by_line

from clouditia_jupyter.notebook.as_typed import CALL

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

_OURS = (
    r"(?:\?{0,2}%{0,2}%clouditia(?:_\w+)?\b"
    r"|%(?:re|un)?load_ext\s+clouditia_jupyter\b|%config\s+ClouditiaMagics\b)"
)
_CELL_STAYS = re.compile(rf"%%local\b|{_OURS}")
_LINE_STAYS = re.compile(rf"(?:[\w\s,.\[\]'\"]+=\s*)?{_OURS}")
_LOCAL = re.compile(r"%%local\s*")


def stays(code: str) -> bool:
    """Return whether a whole cell runs here, also while the mode is on."""
    first = _first_line(code)
    # one of comments alone counts in the session, as it would here
    return bool(_CELL_STAYS.match(first)) if first else not code.strip()


def _first_line(code: str) -> str:
    """Return the first line of a cell that is not a comment; empty where there is none."""
    lines = (line.strip() for line in code.splitlines())
    return next((line for line in lines if line and not line.startswith("#")), "")


def without_mark(lines: list[str]) -> list[str]:
    """Take the line ``%%local`` off a cell: what is left is a cell like any other."""
    for number, line in enumerate(lines):
        if _LOCAL.fullmatch(line):
            rest = lines[number + 1 :]
            if rest and rest[0].startswith("%%"):  # which must be a cell's first line
                return rest
            return [*lines[:number], "\n", *rest]  # an empty line: numbers stay right
        if line.strip():
            break
    return lines


def split(lines: list[str]) -> list[tuple[bool, list[str]]]:
    """Return the parts of a cell in order, each with whether it stays here.

    Parts that go have the lines before them as comments, so that line numbers stay right.

    Raises
    ------
    UsageError
        If a line that stays is part of a statement, such as a loop, that goes.
    """
    text = "".join(lines)
    if stays(text):
        return [(True, lines)]
    if not _first_line(text):
        return [(False, lines)]
    local = set() if text.lstrip().startswith("%%") else _local_lines(lines)
    parts: list[tuple[bool, list[str]]] = []
    for number, line in enumerate(lines):
        here = number in local
        if not parts or parts[-1][0] != here:
            parts.append((here, [] if here else [f"# {above}" for above in lines[:number]]))
        parts[-1][1].append(line)
    return [(here, part) for here, part in parts if here or _first_line("".join(part))]


def _local_lines(lines: list[str]) -> set[int]:
    if not any(_LINE_STAYS.match(line.lstrip()) for line in lines):
        return set()
    # not one that is only the middle of a string
    found: set[int] = set()
    for tokens in make_tokens_by_line(lines):
        first, last = tokens[0].start[0] - 1, tokens[-1].end[0] - 1
        if first >= len(lines) or not _LINE_STAYS.match(lines[first].lstrip()):
            continue
        if lines[first][0].isspace():
            raise UsageError(
                f"line {first + 1} stays here, and what it is a part of goes to the session: "
                "put it into a line of its own that is not indented, or begin the cell with %%local"
            )
        found.update(range(first, max(last, first + 1)))
    return found


class WholeNotebook:
    """The mode of one shell, and the transformer of its cells.

    Attributes
    ----------
    on
        Whether cells go to the session.
    """

    #: IPython leaves it out where it only asks whether what was typed is complete.
    has_side_effects = True

    def __init__(self, shell: InteractiveShell) -> None:
        self.on = False
        self._shell = shell
        self._depth = 0
        self._hooks: dict[str, Callable[..., None]] = {
            "pre_execute": self._begin,
            "post_execute": self._end,
            "post_run_cell": self._remember,
        }

    def install(self) -> None:
        """Let cells begin with ``%%local``."""
        self._transformers.append(without_mark)
        for event, hook in self._hooks.items():
            self._shell.events.register(event, hook)

    def remove(self) -> None:
        """Leave no trace in the shell."""
        self.turn_off()
        if without_mark in self._transformers:
            self._transformers.remove(without_mark)
            for event, hook in self._hooks.items():
                self._shell.events.unregister(event, hook)

    def turn_on(self) -> None:
        """Send every cell from the next one on."""
        if not self.on:
            self.on = True
            # before the others, which would make another cell of what the user typed
            self._transformers.insert(0, self)

    def turn_off(self) -> None:
        """Run cells here again."""
        if self.on:
            self.on = False
            self._transformers.remove(self)

    def sends(self, code: str) -> bool:
        """Return whether a cell goes to the session, or a part of it does."""
        return self.on and not stays(code)

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the cell with what goes to the session turned into calls that send it."""
        if self._depth or not self._is_users():
            return lines
        result: list[str] = []
        for here, part in split(lines):
            text = "".join(part)
            result += part if here else [f"{CALL}'', {text!r})\n"]
        return result

    @property
    def _transformers(self) -> list[Any]:
        found: list[Any] = self._shell.input_transformers_cleanup
        return found

    def _is_users(self) -> bool:
        """Return whether it is a cell of the notebook that comes; not so front ends' own code."""
        kernel: Any = getattr(self._shell, "kernel", None)
        if kernel is None:
            return True
        request = kernel.get_parent("shell") or {}
        content = request.get("content") or {}
        return (
            (request.get("header") or {}).get("msg_type") == "execute_request"
            and bool(content.get("store_history", True))
            and not content.get("silent", False)
        )

    # What runs inside of a cell that runs is no cell of the user's

    def _begin(self) -> None:
        self._depth += 1

    def _end(self) -> None:
        self._depth = max(self._depth - 1, 0)

    def _remember(self, result: Any) -> None:
        """Let ``In[n]`` say what the user typed."""
        history: Any = self._shell.history_manager
        info = getattr(result, "info", None)
        if history is not None and info is not None and info.store_history:
            parsed, number = history.input_hist_parsed, result.execution_count
            if number is not None and number < len(parsed) and CALL in parsed[number]:
                parsed[number] = info.raw_cell.rstrip("\n")
