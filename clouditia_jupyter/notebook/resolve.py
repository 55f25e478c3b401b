"""Which session a name, an id or the beginning of one means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from clouditia_jupyter.errors import (
    AmbiguousIdError,
    JobNotFoundError,
    QueueJobNotFoundError,
    SessionNotFoundError,
    SessionStateError,
)
from clouditia_jupyter.models import LIVE_STATUSES, GPUSession, QueueJob
from clouditia_jupyter.notebook.parsing import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class HasRunId(Protocol):
    """What a run is found by."""

    @property
    def run_id(self) -> str: ...


T = TypeVar("T")
R = TypeVar("R", bound=HasRunId)


def session(sessions: Sequence[GPUSession], word: str) -> GPUSession:
    """Return the session that ``word`` means.

    An exact id or name comes before a beginning. Where several still fit, those that hold a GPU
    come before those that have ended, as a name is often used again.

    Raises
    ------
    SessionNotFoundError
        If none fits; it names those that are near.
    AmbiguousIdError
        If several do; it lists them.
    """
    found = _fitting(sessions, word, lambda s: s.id, lambda s: s.name)
    live = [item for item in found if item.status in LIVE_STATUSES]
    found = live or found
    if len(found) > 1:
        raise AmbiguousIdError(
            f"{word!r} fits {len(found)} sessions: {listed(found)}. Say more of it."
        )
    if not found:
        known = [name for item in sessions for name in (item.name, item.short_id) if name]
        raise SessionNotFoundError(
            f"No session is called {word!r}{did_you_mean(word, known)}. "
            "%clouditia sessions lists them."
        )
    return found[0]


def ticket(tickets: Sequence[QueueJob], word: str) -> QueueJob:
    """Return the ticket that an id or the beginning of one means; errors as for a session."""
    found = _fitting(tickets, word, lambda t: t.queue_id, lambda t: t.queue_id)
    if len(found) > 1:
        ids = ", ".join(item.queue_id[:12] for item in found)
        raise AmbiguousIdError(f"{word!r} fits {len(found)} tickets: {ids}. Say more of it.")
    if not found:
        known = [item.queue_id[:8] for item in tickets]
        raise QueueJobNotFoundError(
            f"No ticket is called {word!r}{did_you_mean(word, known)}. %clouditia queue lists them."
        )
    return found[0]


def run(runs: Sequence[R], word: str) -> R:
    """Return the run that an id or the beginning of one means; errors as for a session."""
    found = _fitting(runs, word, lambda r: r.run_id, lambda r: r.run_id)
    if len(found) > 1:
        ids = ", ".join(item.run_id[:12] for item in found)
        raise AmbiguousIdError(f"{word!r} fits {len(found)} runs: {ids}. Say more of it.")
    if not found:
        known = [item.run_id[:8] for item in runs]
        raise JobNotFoundError(
            f"No run that is kept is called {word!r}"
            f"{did_you_mean(word, known)}. %clouditia runs --all lists them."
        )
    return found[0]


def only_running(sessions: Sequence[GPUSession]) -> GPUSession:
    """Return the one session that can be meant where none was chosen.

    Raises
    ------
    SessionNotFoundError
        If none runs.
    SessionStateError
        If several do; it lists them.
    """
    live = [item for item in sessions if item.status in LIVE_STATUSES]
    running = [item for item in live if item.status == "running"] or live
    if len(running) == 1:
        return running[0]
    if not running:
        raise SessionNotFoundError(
            "No session is running: create one with %clouditia create --gpu SLUG "
            "(%clouditia inventory lists the GPUs)."
        )
    raise SessionStateError(
        f"{len(running)} sessions are running: {listed(running)}. "
        "Choose one with %clouditia use NAME, or name it with --session."
    )


def listed(sessions: Sequence[GPUSession]) -> str:
    """Return sessions in one line, by name and short id."""
    return ", ".join(label(item) for item in sessions)


def label(item: GPUSession) -> str:
    """Return how a session is called in a sentence."""
    return f"{item.name} ({item.short_id})" if item.name else item.short_id


def _fitting(
    items: Sequence[T], word: str, id_of: Callable[[T], str], name_of: Callable[[T], str]
) -> list[T]:
    exact = [item for item in items if word in (id_of(item), name_of(item), id_of(item)[:8])]
    if exact:
        return exact
    folded = word.lower()
    if not folded:
        return []
    return [
        item
        for item in items
        if id_of(item).lower().startswith(folded) or name_of(item).lower().startswith(folded)
    ]
