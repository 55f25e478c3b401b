"""What a click does: a function of the click's name, on the worker's thread.

It takes the board and what the page sent with the click, and returns what the page is told, beside
that it worked. What it raises is said where the click was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clouditia_jupyter.errors import SessionStateError
from clouditia_jupyter.models import LIVE_STATUSES
from clouditia_jupyter.notebook.resolve import label

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from clouditia_jupyter.notebook.panel.board import Board

Answer = dict[str, Any]


def use(board: Board, click: Mapping[str, Any]) -> Answer:
    """Make a session the one that cells run in."""
    session = board.manager().get_session(str(click["id"]))
    if session.status not in LIVE_STATUSES:
        raise SessionStateError(f"{label(session)} is {session.status}: no cells can run there.")
    board.cells.choose(session)
    return {"text": f"Cells now run in {label(session)}."}


def rename(board: Board, click: Mapping[str, Any]) -> Answer:
    """Give a session another name."""
    session_id = str(click["id"])
    renamed = board.manager().rename_session(session_id, str(click["name"]))
    board.cells.forget_names(session_id)
    return {"text": f"It is now called {renamed.name}."}


def pause(board: Board, click: Mapping[str, Any]) -> Answer:
    """Pause a session: its files are kept, its GPUs and variables are not."""
    session_id = str(click["id"])
    board.manager().pause_session(session_id)
    board.cells.forget_names(session_id)
    return {"text": "It is being paused."}


def stop(board: Board, click: Mapping[str, Any]) -> Answer:
    """End a session; what it cost is told when it has ended."""
    session_id = str(click["id"])
    board.manager().stop_session(session_id, wait_stopped=False, verbose=False)
    board.cells.forget_names(session_id)
    if board.cells.current == session_id:
        board.cells.current = None
    return {"text": "It is being stopped."}


def key(board: Board, click: Mapping[str, Any]) -> Answer:
    """Make a key for a session, for the page's clipboard; it is kept nowhere."""
    made = board.manager().generate_sdk_key(str(click["id"]), name="control panel")
    return {"secret": made}


def create(board: Board, click: Mapping[str, Any]) -> Answer:
    """Ask for a session."""
    board.creation.begin(click["form"])
    return {}


def cancel_creation(board: Board, click: Mapping[str, Any]) -> Answer:
    """Give up the session that was asked for last."""
    board.creation.cancel()
    return {}


def dismiss(board: Board, click: Mapping[str, Any]) -> Answer:
    """Take away what came of the last creation."""
    board.creation.dismiss()
    return {}


def cancel_ticket(board: Board, click: Mapping[str, Any]) -> Answer:
    """Take a ticket back."""
    ticket_id = str(click["id"])
    board.manager().cancel_queue_job(ticket_id, verbose=False)
    return {"text": f"Ticket {ticket_id[:8]} is cancelled."}


def refresh(board: Board, click: Mapping[str, Any]) -> Answer:
    """Look now; start the platform of this machine where it does not run."""
    board.look(start=True)
    return {}


CLICKS: Mapping[str, Callable[[Board, Mapping[str, Any]], Answer]] = {
    act.__name__: act
    for act in (
        use,
        rename,
        pause,
        stop,
        key,
        create,
        cancel_creation,
        dismiss,
        cancel_ticket,
        refresh,
    )
}
