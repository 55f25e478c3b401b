"""Widgets made in a session are alive here: comm messages both ways, under the same ids.

The front end knows a remote widget by the messages that made it, which go on to it as they are.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from clouditia_jupyter.notebook.control import Control
from clouditia_jupyter.notebook.link import Link, Parents
from clouditia_jupyter.notebook.states import CONTROL, WIDGET
from clouditia_jupyter.notebook.stubs import comm_manager

if TYPE_CHECKING:
    from collections.abc import Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.models import Event

_made: WeakKeyDictionary[InteractiveShell, Widgets] = WeakKeyDictionary()


def widgets_of(shell: InteractiveShell) -> Widgets:
    """Return the relay for a shell; in a terminal, one that shows nothing."""
    if shell not in _made:
        _made[shell] = Widgets(getattr(shell, "kernel", None))
    return _made[shell]


def withdraw(shell: InteractiveShell) -> None:
    """Undo all that was done for the widgets of a shell; those that are shown go dead."""
    widgets = _made.pop(shell, None)
    if widgets is not None:
        widgets.close()


class Widgets:
    """The remote widgets of one notebook.

    Parameters
    ----------
    kernel
        The local kernel; None where there is no front end to show widgets.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._parents = Parents(kernel)
        self._links: dict[str, Link] = {}
        self._control: Control | None = None

    @contextmanager
    def showing(self, run_id: str) -> Iterator[None]:
        """Note that a run shows in the cell that runs now; what comes behind it waits for that."""
        with self._parents.showing(run_id):
            yield

    def relay(self, event: Event, stream: EventStream) -> None:
        """Pass on a widget's message that came among the events of a run."""
        link = self._link(stream)
        if link is None:
            return
        if str(event.content.get("target_name")).startswith(WIDGET):
            self._take_control()
        link.show(event, stream.run_id)
        link.listen()

    def adopt(self, model_id: str, stream: EventStream) -> None:
        """Make sure that the front end knows a widget which a run shows."""
        link = self._link(stream)
        if link is not None:
            self._take_control()
            link.adopt(model_id)

    def refresh(self, stream: EventStream) -> None:
        """Show what has become of the widgets of a run that was shown again."""
        link = None if self._kernel is None else self._links.get(stream.messages.session_id)
        if link is not None:
            link.refresh()

    def close(self) -> None:
        """Let go of every session."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        control, self._control = self._control, None
        if control is not None and (targets := comm_manager().targets).get(CONTROL) is control:
            del targets[CONTROL]
            if control.local is not None:
                targets[CONTROL] = control.local

    def _link(self, stream: EventStream) -> Link | None:
        if self._kernel is None:
            return None
        messages = stream.messages
        link = self._links.get(messages.session_id)
        if link is None:
            if not messages.supported:
                return None
            link = Link(self._kernel, messages, self._parents)
            self._links[messages.session_id] = link
        link.use(messages)
        return link

    def _take_control(self) -> None:
        targets = comm_manager().targets
        if self._control is not None and targets.get(CONTROL) is self._control:
            return
        with suppress(ImportError):
            import ipywidgets  # noqa: F401 - it registers its targets; not later, then
        self._control = Control(lambda: list(self._links.values()), targets.get(CONTROL))
        targets[CONTROL] = self._control
