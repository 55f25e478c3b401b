"""What stands in the local comm manager for the comms of sessions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clouditia_jupyter.notebook.link import Link


def comm_manager() -> Any:
    """Return the local kernel's registry of comms."""
    import comm

    return comm.get_comm_manager()


class Stub:
    """A remote widget's entry in the local comm manager."""

    primary = True

    def __init__(self, link: Link, comm_id: str, target_name: str, kernel: str) -> None:
        self._link = link
        self.kernel = kernel
        self.comm_id = comm_id
        self.target_name = target_name

    def handle_msg(self, message: Mapping[str, Any]) -> None:
        """Take what the front end says."""
        self._link.send("comm_msg", message)

    def handle_close(self, message: Mapping[str, Any]) -> None:
        """Take that the front end is done with it."""
        self._link.closed(self.comm_id, message)


class Gone:
    """Stands in the local comm manager for the widgets of a kernel that has ended."""

    #: None that a page which is loaded asks for.
    target_name = ""

    def __init__(self) -> None:
        self._said = False

    def handle_msg(self, message: Mapping[str, Any]) -> None:
        """Say once that nothing will come of it."""
        if not self._said:
            self._said = True
            sys.stderr.write(
                "The kernel in the session that made this widget has ended: "
                "run the widget's cell again.\n"
            )

    def handle_close(self, message: Mapping[str, Any]) -> None:
        """Take that the front end is done with it."""


class Opener:
    """A session's comm target, offered to the front end in the place of a local one.

    As in one kernel, who registered a target last has it; that before comes back afterwards.
    """

    def __init__(self, link: Link, name: str, kernel: str) -> None:
        self.kernel = kernel
        self._link = link
        self._name = name
        targets = comm_manager().targets
        self._before = targets.get(name)
        targets[name] = self

    def __call__(self, comm: Any, message: Mapping[str, Any]) -> None:
        comm._closed = True  # the session has the other end: this one must not close it
        self._link.opened(message, self._name, self.kernel)

    def withdraw(self) -> None:
        """Put back what was there before."""
        targets = comm_manager().targets
        above = targets.get(self._name)
        if above is self:
            if self._before is None:
                del targets[self._name]
            else:
                targets[self._name] = self._before
            return
        # another session has it by now, and must not bring this one back
        while isinstance(above, Opener):
            if above._before is self:
                above._before = self._before
                return
            above = above._before
