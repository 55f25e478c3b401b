"""The service's persistent Python namespaces, which is all that it has of a kernel."""

from __future__ import annotations

from typing import Any

from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import APIError, NotFoundError, UnsupportedError


def start(platform: Transport) -> str:
    """Return the id of a new namespace.

    Raises
    ------
    UnsupportedError
        If the service has none.
    """
    try:
        # starting twice leaves an empty namespace behind, which costs little
        answer = platform.call("POST", "/api/session/start/", json={}, idempotent=True)
    except NotFoundError as error:
        raise UnsupportedError(
            "This service keeps no Python between two requests, so a cell there cannot be "
            "followed; run(code) runs each piece of code by itself."
        ) from error
    name = str(answer.get("persistent_id") or "")
    if not name:
        raise APIError("The service started no Python namespace; try again in a minute.")
    return name


def execute(
    platform: Transport, name: str, code: str, limit: float, timeout: float, *, again: bool
) -> dict[str, Any]:
    """Return the service's answer to ``code``, be it that it failed.

    Parameters
    ----------
    limit
        Seconds after which the service ends it.
    timeout
        Seconds after which nobody waits any more.
    again
        Whether to send it again where no answer comes.
    """
    return platform.call(
        "POST",
        "/api/session/exec/",
        json={"persistent_id": name, "code": code, "timeout": limit},
        timeout=timeout,
        idempotent=again,
        failure_is_answer=True,
    )


def stop(platform: Transport, name: str) -> None:
    """End a namespace."""
    body = {"persistent_id": name}
    platform.call("POST", "/api/session/stop/", json=body, idempotent=True)
