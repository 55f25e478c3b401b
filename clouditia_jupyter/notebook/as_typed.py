"""``%%clouditia_run`` cells, taken as they were typed: before IPython tidies them for here.

What it would do to them, the session's IPython does there, as a local one does to a local cell.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

#: How IPython calls the magic for a cell.
CALL = "get_ipython().run_cell_magic('clouditia_run', "
_FIRST = re.compile(r"%%clouditia_run(?: ([^\n]*))?\n")


class AsTyped:
    """The transformer of such cells, for one shell."""

    #: IPython leaves it out where it only asks whether what was typed is complete.
    has_side_effects = True

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._raw = ""

    def install(self) -> None:
        """Take such cells from now on."""
        self._transformers.insert(0, self)
        self._shell.events.register("pre_run_cell", self._begin)

    def remove(self) -> None:
        """Leave no trace in the shell."""
        if self in self._transformers:
            self._transformers.remove(self)
            self._shell.events.unregister("pre_run_cell", self._begin)

    def __call__(self, lines: list[str]) -> list[str]:
        """Return the call that runs such a cell, and any other cell as it is."""
        number = next((n for n, line in enumerate(lines) if line.strip()), 0)
        first = _FIRST.fullmatch(lines[number]) if lines else None
        if first is None:
            return lines
        # without a body IPython calls no magic
        body = "".join(lines[number + 1 :]) or "\n"
        return [f"{CALL}{(first[1] or '').rstrip()!r}, {body!r})\n"]

    def code(self, body: str) -> str:
        """Return the code of the body that the magic was called with.

        IPython ends the last line, which may have been typed without an end.
        """
        typed = self._raw.endswith("\n") and self._raw.endswith(body)
        return body if typed else body.removesuffix("\n")

    @property
    def _transformers(self) -> list[Any]:
        found: list[Any] = self._shell.input_transformers_cleanup
        return found

    def _begin(self, info: Any) -> None:
        self._raw = info.raw_cell
