"""The magics. They parse, then delegate; what they need further loads at the first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, cell_magic, line_magic, magics_class

from clouditia_jupyter.config import Settings
from clouditia_jupyter.errors import SessionNotFoundError, SessionStateError
from clouditia_jupyter.notebook.as_typed import AsTyped
from clouditia_jupyter.notebook.commands import LOCAL, RUN, described, overview
from clouditia_jupyter.notebook.completion import Completion
from clouditia_jupyter.notebook.output import say
from clouditia_jupyter.notebook.parsing import HelpAsked, parse_line, parse_run
from clouditia_jupyter.notebook.whole_notebook import WholeNotebook

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.notebook.actions import Context
    from clouditia_jupyter.notebook.connection import Connection
    from clouditia_jupyter.notebook.runner import Runner


@magics_class
class ClouditiaMagics(Magics, Settings):
    """Rent GPUs and run cells on them."""

    shell: InteractiveShell

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self.as_typed = AsTyped(shell)
        self.whole = WholeNotebook(shell)
        self.completion = Completion(shell, self.connection_now, self.whole.sends)
        self._made: tuple[Context, Runner] | None = None

    def _parts(self) -> tuple[Context, Runner]:
        if self._made is None:
            from clouditia_jupyter.notebook.actions import Context
            from clouditia_jupyter.notebook.connection import Connection
            from clouditia_jupyter.notebook.runner import Runner

            connection = Connection(self)
            context = Context(self.shell, connection, self.whole)
            self._made = context, Runner(self.shell, connection, self)
        return self._made

    @line_magic
    def clouditia(self, line: str) -> Any:
        try:
            command, arguments = parse_line(line)
        except HelpAsked as asked:
            say(str(asked))
            return None
        context, _ = self._parts()
        from clouditia_jupyter.notebook import actions

        return getattr(actions, command.name)(context, arguments)

    @cell_magic
    def clouditia_run(self, line: str, cell: str) -> None:
        try:
            arguments = parse_run(line)
        except HelpAsked as asked:
            say(str(asked))
            return
        _, runner = self._made or self._parts()
        try:
            runner.run(arguments, self.as_typed.code(cell), named=self.whole.on)
        except (SessionNotFoundError, SessionStateError) as error:
            if self.whole.on:
                error.args = (f"{error} %clouditia auto off runs cells here again.",)
            raise

    @cell_magic
    def local(self, line: str, cell: str) -> None:
        # the transformer takes it off where it should be
        raise UsageError("%%local stands alone on the first line of a cell")

    def connection(self) -> Connection:
        """Return what cells run over; it opens when it is first used."""
        return self._parts()[0].connection

    def connection_now(self) -> Connection | None:
        """Return what is open already; opens nothing."""
        return None if self._made is None else self._made[0].connection

    def close(self) -> None:
        """Close what is open; sessions run on."""
        if self._made is not None:
            self._made[0].connection.close()
            self._made = None


# what %clouditia? shows
ClouditiaMagics.clouditia.__doc__ = overview()
ClouditiaMagics.clouditia_run.__doc__ = described(RUN)
ClouditiaMagics.local.__doc__ = described(LOCAL)
