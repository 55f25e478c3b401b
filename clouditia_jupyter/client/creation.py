"""Creating a session, and never two of them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from clouditia_jupyter.client.arguments import requested_gpus
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import (
    APIError,
    ClouditiaError,
    ConnectionFailedError,
    RequestTimeoutError,
    ServiceUnavailableError,
    UnsupportedError,
)
from clouditia_jupyter.models import gigabytes

_CREATE = "/api/computing/sessions/create/"
_SESSIONS = "/api/computing/sessions/"
_QUEUE = "/api/computing/queue/"
#: Pauses before each look for a session whose create was not answered, in seconds.
SEARCH_PAUSES = (0.0, 2.0, 5.0, 10.0)


def create(transport: Transport, body: Mapping[str, Any], *, keyed: bool) -> dict[str, Any]:
    """Return the answer to a create, of which at most one takes effect.

    Parameters
    ----------
    keyed
        Whether the service honours ``Idempotency-Key``. Then a create that was not answered is
        sent again under its key. Else it is not sent again: the session that it may have made is
        looked for, and stands in for the answer.

    Raises
    ------
    RequestTimeoutError
        If it was not answered and what came of it cannot be found out.
    """
    if keyed:
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return transport.call("POST", _CREATE, json=body, headers=headers, idempotent=True)
    before = _Holdings(transport, body)
    try:
        return transport.call("POST", _CREATE, json=body, idempotent=False)
    except (APIError, ConnectionFailedError) as error:
        if not _may_have_acted(error):
            raise
        lost = error
    for pause in SEARCH_PAUSES:
        transport.clock.sleep(pause)
        try:
            found = _Holdings(transport, body).new_since(before)
        except (ServiceUnavailableError, ConnectionFailedError):
            continue
        if len(found) == 1:
            return found[0]
        if found:
            raise RequestTimeoutError(
                f"The create was not answered, and {len(found)} new sessions fit it. "
                "Look at list_sessions() and stop those that are not wanted."
            ) from lost
    raise RequestTimeoutError(
        "The create was not answered, and no session has come of it so far. "
        "Look at list_sessions() before you create again: a late one would bill too."
    ) from lost


def _may_have_acted(error: ClouditiaError) -> bool:
    if isinstance(error, ConnectionFailedError):
        return error.may_have_acted
    if isinstance(error, UnsupportedError):
        return False
    return isinstance(error, APIError) and (
        error.status >= 500 or isinstance(error, ServiceUnavailableError)
    )


class _Holdings:
    """The sessions, and where a create may queue the tickets, that fit a create's body."""

    def __init__(self, transport: Transport, body: Mapping[str, Any]) -> None:
        sessions = transport.call("GET", _SESSIONS).get("sessions") or ()
        self._sessions = {str(item["id"]): item for item in sessions if session_fits(item, body)}
        self._tickets: dict[str, Any] = {}
        if body["queue_if_unavailable"]:
            tickets = transport.call("GET", _QUEUE).get("queue_jobs") or ()
            self._tickets = {str(t["queue_id"]): t for t in tickets if ticket_fits(t, body)}

    def new_since(self, before: _Holdings) -> list[dict[str, Any]]:
        """Return the answer that would have told of each session or ticket not there before."""
        sessions = [
            {"success": True, "session": session}
            for name, session in self._sessions.items()
            if name not in before._sessions
        ]
        tickets = [
            {**ticket, "success": True, "queued": True}
            for name, ticket in self._tickets.items()
            if name not in before._tickets
            # served at once: then its session is among the new ones
            and not ticket.get("created_session_id")
        ]
        return sessions + tickets


def session_fits(session: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Return whether ``session`` can be what a create with ``body`` made."""
    if not _sizes_fit(session, body):
        return False
    wanted = _normal(requested_gpus(body).items())
    got = _normal(
        (gpu.get("slug") or gpu.get("type"), gpu.get("quantity", 1))
        for gpu in session.get("gpus") or ()
    )
    if not got:
        slugs = str(session.get("gpu_type") or "").split(",")
        got = _normal((slug, session.get("gpu_count", 1)) for slug in slugs)
        if len(slugs) > 1:  # one count for all of them together
            return set(got) <= set(wanted)
    if body["allow_partial"]:
        return all(wanted.get(slug, 0) >= count for slug, count in got.items())
    return got == wanted


def ticket_fits(ticket: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    """Return whether ``ticket`` can be what a create with ``body`` queued."""
    return _sizes_fit(ticket, body)


def _sizes_fit(thing: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    return all(
        thing.get(key) is None or gigabytes(thing[key]) == float(body[key])
        for key in ("vcpu", "ram", "storage")
    )


def _normal(counts: Iterable[tuple[Any, Any]]) -> dict[str, int]:
    """Return counts by slug without hyphens: ``3060ti`` and ``3060-ti`` are one type."""
    total: dict[str, int] = {}
    for slug, count in counts:
        key = str(slug).strip().replace("-", "")
        total[key] = total.get(key, 0) + int(count)
    return total
