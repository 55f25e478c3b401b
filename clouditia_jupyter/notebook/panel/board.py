"""What the panel knows and shows. All of it on the worker's thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.client.overview import Lookout
from clouditia_jupyter.errors import ClouditiaError, ConnectionFailedError, RequestTimeoutError
from clouditia_jupyter.models import LIVE_STATUSES, format_duration
from clouditia_jupyter.notebook.panel.creation import Creation
from clouditia_jupyter.notebook.panel.history import History, spending
from clouditia_jupyter.notebook.panel.pace import Pace
from clouditia_jupyter.notebook.panel.view import sections
from clouditia_jupyter.notebook.resolve import label
from clouditia_jupyter.notebook.wording import money

if TYPE_CHECKING:
    from clouditia_jupyter.client.manager import GPUManager
    from clouditia_jupyter.client.overview import Overview
    from clouditia_jupyter.models import GPUSession
    from clouditia_jupyter.notebook.connection import Connection
    from clouditia_jupyter.notebook.panel.widget import PanelWidget

#: Seconds of the bill after which the chart of costs is drawn anew while something bills.
_CHART_SECONDS = 60.0
_UNDER_WAY = frozenset({"pending", "creating", "stopping", "pausing"})
_REASONS = {
    "cost_limit": "at its cost limit",
    "duration_limit": "at its time limit",
    "credit": "as the credit is used up",
    "lost": "as its pod is gone",
}


class Board:
    """Looks at the account and shows it.

    Parameters
    ----------
    widget
        Where it is shown.
    connection
        The panel's own; cells keep theirs.
    cells
        The connection that cells run over, for the current session.

    Attributes
    ----------
    overview
        What was seen last; None before the first look that worked.
    """

    def __init__(self, widget: PanelWidget, connection: Connection, cells: Connection) -> None:
        self.widget = widget
        self.connection = connection
        self.cells = cells
        self.pace = Pace()
        self.creation = Creation(self)
        self.overview: Overview | None = None
        self._lookout: Lookout | None = None
        self._history = History()
        self._shown: tuple[Overview, str | None] | None = None
        self._opened = False
        self._seen_at: float | None = None
        self._drawn_at = 0.0

    def manager(self, *, start: bool = True) -> GPUManager:
        """Return the manager of the service in use; ``start`` a local platform for a click only."""
        manager = self.connection.open(start=start)
        if self._lookout is None or self._lookout.manager is not manager:
            self._lookout = Lookout(manager, self.cells.lives_now)
            self.pace.cheap = self._lookout.cheap
        return manager

    def look(self, *, start: bool = False) -> None:
        """Look at the account, and show what is new; or what is wrong, beside the last data."""
        start, self._opened = start or not self._opened, True
        try:
            self.manager(start=start)
            assert self._lookout is not None
            seen = self._lookout.look()
        except ClouditiaError as error:
            self.pace.failed()
            self._show_trouble(error)
            return
        except Exception as error:
            self.pace.failed()
            what = f"{type(error).__name__}: {error}"
            self._show_trouble(ClouditiaError(f"The platform's answer cannot be read ({what})."))
            raise
        now = time.time()
        change = seen is not self.overview
        before, self.overview, self._seen_at = self.overview, seen, now
        self.pace.saw(change=change)
        self.pace.urgent = self.creation.under_way or any(
            session.status in _UNDER_WAY for session in seen.sessions
        )
        self.creation.follow(seen)
        self.show()
        self.widget.show("trouble", None)
        if change:
            self._tell(before, seen)

    def show(self) -> None:
        """Show what was seen last, if the page does not show it yet."""
        if self.overview is None:
            return
        now = time.time()
        current = self.cells.current
        fresh = self._shown is None or self._shown[0] is not self.overview
        bills = any(session.cost_since is not None for session in self.overview.sessions)
        redraw = _CHART_SECONDS / max(self.overview.hands.rate, 1.0)
        if fresh or (bills and self._drawn_at < now - redraw):
            self._drawn_at = now
            self.widget.show("spending", spending(self.overview, now))
        if fresh:
            self.widget.show("charts", self._history.note(self.overview, now))
            self.widget.show("place", self._place())
        if self._shown != (self.overview, current):
            for part, value in sections(self.overview, current).items():
                self.widget.show(part, value)
            self._shown = (self.overview, current)

    def say(self, text: str) -> None:
        """Show that something has happened that nobody clicked for."""
        self.widget.show("news", {"text": text, "at": time.time()})

    def _place(self) -> dict[str, Any]:
        assert self._lookout is not None
        service, manager = self.connection.service, self._lookout.manager
        able = not manager.capabilities or "pause" in manager.capabilities
        return {
            "local": service.local,
            "url": service.computing_url,
            "pause": "" if able else "This platform cannot pause a session; stop it instead.",
        }

    def _show_trouble(self, error: ClouditiaError) -> None:
        local = self._seen_at is not None and self.connection.service.local
        start = local and isinstance(error, ConnectionFailedError)
        text = _complaint(error)
        self.widget.show("trouble", {"text": text, "since": self._seen_at, "start": start})

    def _tell(self, before: Overview | None, after: Overview) -> None:
        """Say which sessions have ended since; a click says so itself only when it is done."""
        if before is None:
            return
        lived = {one.id for one in before.sessions if one.status in LIVE_STATUSES}
        for session in after.sessions:
            if session.id in lived and session.status not in LIVE_STATUSES:
                self.say(_epitaph(after, session))


def _complaint(error: ClouditiaError) -> str:
    """Return what is wrong, for somebody who only looks: nothing was asked that could be lost."""
    if isinstance(error, RequestTimeoutError):
        return "The platform does not answer in time: it, or the network, is slow."
    if isinstance(error, ConnectionFailedError) and error.may_have_acted:
        return "The connection to the platform broke."
    return str(error)


def _epitaph(overview: Overview, session: GPUSession) -> str:
    if session.status == "failed":
        return f"{label(session)} has failed: {session.creation_error or session.stop_reason}"
    why = _REASONS.get(session.stop_reason, "")
    text = f"{label(session)} is {session.status}{' ' if why else ''}{why}"
    if session.started_at is None:
        return f"{text} before it began: it cost nothing."
    parts = []
    if session.ended_at is not None:
        seconds = (session.ended_at - session.started_at).total_seconds()
        parts.append(f"it ran {format_duration(seconds)}")
    if session.cost is not None:
        parts.append(f"it cost {money(session.cost, overview.currency)}")
    return f"{text}: {' and '.join(parts)}." if parts else f"{text}."
