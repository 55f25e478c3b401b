"""How a cell's failure shows here: with what was shown in the session, where it was shown.

IPython has a display of its own for some exceptions, shows nothing for others, and may draw a
figure below a traceback. In the session all of that has happened; so what fails the local cell is
shown by us, in IPython's place, unless the user's code catches it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, cast

from clouditia_jupyter.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.notebook.follow import Ending
    from clouditia_jupyter.notebook.render import Renderer


class Interrupted(KeyboardInterrupt):
    """The local interrupt, shown with the place where the remote code was."""

    def __init__(self, traceback: list[str] | None = None) -> None:
        super().__init__()
        self._traceback = traceback

    def _render_traceback_(self) -> list[str]:
        return self._traceback or ["KeyboardInterrupt"]


# what a saved notebook calls it is the class's name
Interrupted.__name__ = Interrupted.__qualname__ = "KeyboardInterrupt"


class Failure:
    """What a remote run failed with, ready to be raised.

    Parameters
    ----------
    error
        The exception that stands for it here.
    ending
        Says what is still to be shown.
    """

    def __init__(
        self, error: RemoteError | Interrupted, ending: Ending, renderer: Renderer
    ) -> None:
        self.error = error
        self._shown = ending.shown and not isinstance(error, Interrupted)
        self._behind, self._renderer = ending.behind, renderer
        _Display.of(renderer.shell).failures.append(self)

    def show(self) -> None:
        """Show it as the session did."""
        if not self._shown:
            shell: Any = self._renderer.shell
            shell._showtraceback(type(self.error), self.error, self.error._render_traceback_())
        self.show_behind()

    def show_behind(self) -> None:
        """Show what the session showed below the traceback; once."""
        behind, self._behind = self._behind, []
        for event in behind:
            self._renderer.show(event)


class _Display:
    """Takes the place of a shell's display of exceptions, from a failure to the cell's end."""

    _now: ClassVar[dict[InteractiveShell, _Display]] = {}

    def __init__(self, shell: InteractiveShell) -> None:
        self.failures: list[Failure] = []
        self._shell = ip = cast("Any", shell)
        self._before = classes, _ = ip.custom_exceptions, ip.CustomTB
        ip.set_custom_exc((RemoteError, Interrupted, *classes), self._handler())
        ip.events.register("post_execute", self._end)

    @classmethod
    def of(cls, shell: InteractiveShell) -> _Display:
        """Return the one of the cell that runs now."""
        display = cls._now.get(shell)
        if display is None:
            display = cls._now[shell] = cls(shell)
        return display

    def _handler(self) -> Callable[..., Any]:
        def handle(shell: Any, etype: Any, value: Any, tb: Any, tb_offset: Any = None) -> Any:
            ours = next((f for f in self.failures if f.error is value), None)
            if ours is None:
                return self._show_otherwise(etype, value, tb, tb_offset)
            ours.show()
            return None

        return handle

    def _show_otherwise(self, etype: Any, value: Any, tb: Any, tb_offset: Any) -> Any:
        """Show an exception that is none of ours."""
        classes, custom = self._before
        if isinstance(value, classes):
            return custom(etype, value, tb, tb_offset=tb_offset)
        # a RemoteError of somebody else's: through IPython's usual door
        self._shell.showtraceback((etype, value, tb))
        return None

    def _end(self) -> None:
        shell = self._shell
        shell.events.unregister("post_execute", self._end)
        shell.custom_exceptions, shell.CustomTB = self._before
        del self._now[shell]
        for failure in self.failures:
            failure.show_behind()
