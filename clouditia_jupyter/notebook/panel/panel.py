"""The control panel, as a user holds it."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.errors import ClouditiaError, ConfigurationError, WaitTimeoutError
from clouditia_jupyter.notebook.connection import Connection
from clouditia_jupyter.notebook.panel import tables
from clouditia_jupyter.notebook.panel.board import Board
from clouditia_jupyter.notebook.panel.clicks import CLICKS
from clouditia_jupyter.notebook.panel.pace import ABANDONED
from clouditia_jupyter.notebook.panel.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.overview import Overview
    from clouditia_jupyter.config import Settings

_log = logging.getLogger(__name__)

#: Seconds that opening waits for the first data; after that they come when they come.
_FIRST_LOOK = 0.25
#: Seconds after which a page that has not said again that it is seen may be gone.
_LEASE = 900.0
_PATIENCE = 60.0

#: The panel of each shell, by the shell's id: one panel, however often it is shown.
_open: dict[int, Panel] = {}


class Panel:
    """A control panel: the last expression of a cell shows it.

    Made by ``%clouditia panel`` and by :func:`clouditia_jupyter.panel`.

    Parameters
    ----------
    settings
        Say which service it shows.
    cells
        The connection that cells run over, for the current session.
    shell
        The user's IPython.
    """

    def __init__(self, settings: Settings, cells: Connection, shell: InteractiveShell) -> None:
        self._shell = shell
        self._views: dict[str, float] = {}
        self._looked = threading.Event()
        self._worker = Worker(getattr(shell, "kernel", None), self._look, self._pause)
        try:
            self._worker.ask(lambda: self._make(settings, cells))
            self._worker.do(lambda: None)
        except BaseException:
            self._worker.close()
            raise
        self.widget.on_msg(self._on_message)
        self._looked.wait(_FIRST_LOOK)

    def _make(self, settings: Settings, cells: Connection) -> None:
        """Make the widget: on the worker's thread, so that no message of it belongs to a cell."""
        from clouditia_jupyter.notebook.panel.widget import PanelWidget

        self.widget = PanelWidget()
        self._board = Board(self.widget, Connection(settings), cells)

    def __repr__(self) -> str:
        overview = self._board.overview
        if overview is None:
            return "Control panel, without data so far"
        count = sum(session.cost_since is not None for session in overview.sessions)
        bill = {0: "no session bills", 1: "1 session bills"}.get(count, f"{count} sessions bill")
        left = f"{overview.balance(time.time()):.2f} {overview.currency}"
        return f"Control panel: {bill}, {left} left"

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = self.widget._repr_mimebundle_(**options)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**(data or {}), "text/plain": repr(self)}, metadata

    # Its tables

    @property
    def inventory(self) -> pd.DataFrame:
        """The GPUs on offer; prices in EUR per hour and GPU."""
        return tables.inventory(self._overview())

    @property
    def sessions(self) -> pd.DataFrame:
        """The sessions; sizes in GB, money in EUR, times in UTC."""
        return tables.sessions(self._overview())

    @property
    def costs(self) -> pd.DataFrame:
        """What sessions have cost by now, in EUR and seconds."""
        return tables.costs(self._overview())

    @property
    def queue(self) -> pd.DataFrame:
        """The tickets in the queue; sizes in GB, times in UTC."""
        return tables.queue(self._overview())

    @property
    def runs(self) -> pd.DataFrame:
        """The latest runs of the sessions that run."""
        return tables.runs(self._overview())

    def _overview(self) -> Overview:
        """Return what is now; where the platform does not answer, what was seen last."""
        if self._worker.is_alive:
            with suppress(WaitTimeoutError):
                self.refresh()
        if self._board.overview is None:
            raise ConfigurationError("The panel has no data so far: it says itself what is wrong.")
        return self._board.overview

    # Its life

    def refresh(self) -> None:
        """Look now, and return when that is done.

        Raises
        ------
        ConfigurationError
            If the panel has been closed.
        WaitTimeoutError
            If it is busy with something else for too long.
        """
        if not self._worker.is_alive:
            raise ConfigurationError("This panel is closed: %clouditia panel opens a new one.")
        self._worker.ask(self._look, _PATIENCE)

    def close(self) -> None:
        """Take the panel away; sessions run on."""
        self._worker.close(1.0)
        self._board.connection.close()
        self.widget.close()
        if _open.get(id(self._shell)) is self:
            del _open[id(self._shell)]

    @property
    def is_open(self) -> bool:
        """Whether it has not been closed."""
        return self.widget.comm is not None and self._worker.is_alive

    def _look(self) -> None:
        try:
            self._board.look()
        finally:
            self._looked.set()

    def _pause(self) -> float | None:
        seen = list(self._views.values())  # they come and go on the kernel's thread
        if not self._looked.is_set() or not (seen or self._board.creation.under_way):
            return None
        if seen and time.monotonic() - max(seen) > _LEASE:
            return ABANDONED
        return self._board.pace.seconds()

    # What the page says; on whichever thread the kernel reads it

    def _on_message(self, widget: Any, content: Mapping[str, Any], buffers: Any) -> None:
        name = str(content.get("do"))
        if name == "seen":
            self._seen(content)
            return
        if name == "cancel_creation":
            self._board.creation.cancel_soon()
        self._board.pace.hurry()
        self._worker.do(lambda: self._act(name, content))

    def _seen(self, content: Mapping[str, Any]) -> None:
        view = str(content.get("view"))
        told = {"clock": time.time(), "asked": content.get("now")}
        if not content.get("visible"):
            self._views.pop(view, None)
            self._worker.wake()
            return
        self._views[view] = time.monotonic()
        self._board.pace.hurry()
        self._worker.do(lambda: self.widget.send(told))

    def _act(self, name: str, content: Mapping[str, Any]) -> None:
        answer: dict[str, Any] = {"call": content.get("call"), "ok": True}
        try:
            if name == "frame":
                answer |= self._hand_over(str(content["part"]))
            else:
                answer |= CLICKS[name](self._board, content)
        except ClouditiaError as error:
            answer |= {"ok": False, "text": str(error)}
        except Exception as error:
            _log.exception("the click %s failed", name)
            answer |= {"ok": False, "text": f"That failed: {type(error).__name__}: {error}"}
        self.widget.send(answer)

    def _hand_over(self, part: str) -> dict[str, Any]:
        """Put a table into a variable of the user's."""
        variable = f"clouditia_{part}"
        if self._board.overview is None:
            raise ConfigurationError("There is no data so far.")
        self._shell.user_ns[variable] = tables.TABLES[part](self._board.overview)
        return {"text": f"The DataFrame is in the variable {variable}."}


def panel() -> Panel:
    """Return the control panel of this notebook; the last expression of a cell shows it.

    There is one a notebook: called again, it is the same one, shown once more.

    Raises
    ------
    ConfigurationError
        Outside of IPython.
    """
    from IPython.core.getipython import get_ipython

    shell: Any = get_ipython()
    if shell is None:
        raise ConfigurationError("The control panel needs a notebook; GPUManager works anywhere.")
    if "ClouditiaMagics" not in shell.magics_manager.registry:
        shell.extension_manager.load_extension("clouditia_jupyter")
    magics = shell.magics_manager.registry["ClouditiaMagics"]
    return open_panel(shell, magics, magics.connection())


def open_panel(shell: InteractiveShell, settings: Settings, cells: Connection) -> Panel:
    """Return the panel of a shell; made if it has none that is open."""
    known = _open.get(id(shell))
    if known is None or not known.is_open:
        known = _open[id(shell)] = Panel(settings, cells, shell)
    return known


def close_panel(shell: InteractiveShell) -> None:
    """Close the panel of a shell, if it has one."""
    known = _open.get(id(shell))
    if known is not None:
        known.close()
