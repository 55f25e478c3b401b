"""The session that was asked for by the form: asked, queued or made, step by step, or given up."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.errors import ClouditiaError, InsufficientResourcesError
from clouditia_jupyter.models import LIVE_STATUSES
from clouditia_jupyter.notebook.panel.view import progress
from clouditia_jupyter.notebook.resolve import label

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clouditia_jupyter.client.overview import Overview
    from clouditia_jupyter.models import GPUSession
    from clouditia_jupyter.notebook.panel.board import Board

#: States in which something is still to come of it.
_OPEN = frozenset({"asked", "making", "cancelling"})


class Creation:
    """One at a time; all on the worker's thread but :meth:`cancel_soon`.

    Attributes
    ----------
    state
        ``none``, ``asked``, ``making``, ``queued``, ``cancelling``, then ``ready``, ``failed`` or
        ``cancelled``.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self.state = "none"
        self._id = ""
        self._began = 0.0
        self._unwanted = threading.Event()

    @property
    def under_way(self) -> bool:
        """Whether somebody waits for it."""
        return self.state in _OPEN

    def begin(self, form: Mapping[str, Any]) -> None:
        """Ask for the session that the form describes."""
        if self.under_way:
            return
        self._unwanted.clear()
        self._began = time.time()
        self._show("asked", f"Asking for {form['count']} × {form['gpu']} …")
        try:
            manager = self._board.manager()
            made = manager.create_session(
                gpu_type=str(form["gpu"]),
                gpu_count=int(form["count"]),
                vcpu=int(form["vcpu"]),
                ram=int(form["ram"]),
                storage=int(form["storage"]),
                cost_limit=_number(form.get("cost_limit")),
                duration_limit=_whole(form.get("duration_limit")),
                queue_if_unavailable=bool(form.get("queue")),
                wait_ready=False,
                verbose=False,
            )
        except InsufficientResourcesError as error:
            missing = ", ".join(error.unavailable_gpus)
            what = f"Not available now: {missing}." if missing else str(error)
            self._show("failed", f"{what} Choose fewer or others, or tick “wait in the queue”.")
            return
        except (ClouditiaError, ValueError) as error:
            self._show("failed", str(error))
            return
        except Exception as error:
            # else it would stay asked for, and nothing else could be
            self._show("failed", f"That failed: {type(error).__name__}: {error}")
            raise
        if isinstance(made, dict):
            self._id = str(made["queue_id"])
            place = f" at place {made['position']}" if made.get("position") else ""
            self._show("queued", f"Queued{place}: ticket {self._id[:8]}.", ticket=self._id)
            if self._unwanted.is_set():
                self.cancel()
            return
        self._id = made.id
        self._show("making", f"Making {made.short_id}", **progress(made))
        name = str(form.get("name") or "").strip()
        if name and not self._unwanted.is_set():
            try:
                made = manager.rename_session(made.id, name)
            except ClouditiaError as error:
                self._board.say(f"{made.short_id} could not be named {name}: {error}")
        if self._unwanted.is_set():
            self.cancel()
        else:
            self._show("making", f"Making {label(made)}", **progress(made))

    def cancel_soon(self) -> None:
        """Note, from any thread, that it is not wanted any more."""
        self._unwanted.set()

    def cancel(self) -> None:
        """Give it up: its session is stopped, or its ticket taken back; nothing goes on billing."""
        manager = self._board.manager()
        if self.state == "queued":
            manager.cancel_queue_job(self._id, verbose=False)
            self._show("cancelled", f"Ticket {self._id[:8]} is cancelled.")
        elif self.state == "making":
            self._show("cancelling", "Cancelling …")
            try:
                manager.stop_session(self._id, wait_stopped=False, verbose=False)
            except ClouditiaError as error:
                self._show(
                    "failed",
                    f"{self._id[:8]} could not be stopped, and may bill: {error} "
                    "Its row has a button to stop it.",
                )

    def dismiss(self) -> None:
        """Forget what came of it."""
        if not self.under_way:
            self._show("none", "")

    def follow(self, overview: Overview) -> None:
        """Say how far it is."""
        if self.state == "queued":
            self._follow_ticket(overview)
        elif self.state in ("making", "cancelling"):
            found = next((one for one in overview.sessions if one.id == self._id), None)
            if found is not None:
                self._follow_session(found)

    def _follow_ticket(self, overview: Overview) -> None:
        ticket = next((one for one in overview.tickets if one.queue_id == self._id), None)
        if ticket is None or ticket.status == "cancelled":
            self._show("cancelled", f"Ticket {self._id[:8]} is cancelled.")
        elif ticket.status == "failed":
            self._show("failed", f"Ticket {self._id[:8]} has failed: {ticket.last_error or ''}")
        elif ticket.created_session_id:
            self._id = ticket.created_session_id
            self.state = "making"
            self.follow(overview)
        else:
            place = f" at place {ticket.position}" if ticket.position else ""
            tries = ticket.attempt_count
            tried = f"tried {tries} time{'' if tries == 1 else 's'}"
            text = f"Queued{place}: ticket {self._id[:8]}, {tried}."
            self._show("queued", text, ticket=self._id)

    def _follow_session(self, session: GPUSession) -> None:
        name = label(session)
        if session.status == "failed":
            reason = session.creation_error or "the service does not say why"
            self._show("failed", f"{name} could not be made: {reason}")
        elif session.status not in LIVE_STATUSES:
            self._show("cancelled", f"{name} is {session.status}; it does not bill.")
        elif self.state == "cancelling":
            return
        elif session.status == "running" and session.ready:
            seconds = time.time() - self._began
            self._board.cells.choose(session)
            text = f"{name} is ready after {seconds:.1f} s, and cells run in it."
            self._show("ready", text, **progress(session))
        else:
            self._show("making", f"Making {name}", **progress(session))

    def _show(self, state: str, text: str, **more: Any) -> None:
        self.state = state
        shown = {"state": state, "text": text, "began": round(self._began, 1), **more}
        self._board.widget.show("creation", None if state == "none" else shown)


def _number(value: Any) -> float | None:
    return None if value in (None, "") else float(value)


def _whole(value: Any) -> int | None:
    return None if value in (None, "") else int(value)
