"""Running code on a service that has no runs: one persistent namespace, one request a cell."""

from __future__ import annotations

from clouditia_jupyter.client.results import RunResult, from_exec
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import APIError, NotFoundError, SessionLostError, UnsupportedError

#: The stock service's proxy cuts a request at about 100 s; a longer run must end before.
DEFAULT_TIMEOUT = 90.0
#: What the answer may take beyond the code itself, in seconds.
_MARGIN = 10.0


class Namespace:
    """The session's persistent Python namespace, started when first needed.

    Where the service cannot keep one, each piece of code runs by itself.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._id: str | None = None
        self._isolated = False

    def run(self, code: str, timeout: float | None = None) -> RunResult:
        """Return what ``code`` came to.

        Raises
        ------
        SessionLostError
            If the namespace is gone; the next run starts a fresh one.
        ConnectionFailedError
            If the answer did not come. The code is never sent twice.
        """
        if self._id is None and not self._isolated:
            self._start()
        limit = DEFAULT_TIMEOUT if timeout is None else timeout
        if self._id is None:
            path, body = "/api/execute/", dict[str, object](code=code)
        else:
            path = "/api/session/exec/"
            body = {"persistent_id": self._id, "code": code, "timeout": limit}
        try:
            answer = self._transport.call(
                "POST", path, json=body, timeout=limit + _MARGIN, failure_is_answer=True
            )
        except NotFoundError as error:
            if self._id is None:
                raise
            self._id = None
            raise SessionLostError(
                "The session's Python namespace is gone, and its variables with it; "
                "the next run starts a fresh one."
            ) from error
        return from_exec(answer)

    def _start(self) -> None:
        try:
            # starting twice leaves an empty namespace behind, which costs nothing
            answer = self._transport.call("POST", "/api/session/start/", json={}, idempotent=True)
        except (NotFoundError, UnsupportedError):
            self._isolated = True
            return
        self._id = str(answer.get("persistent_id") or "")
        if not self._id:
            raise APIError("The service started no Python namespace; try again in a minute.")

    def stop(self) -> None:
        """End the namespace; its variables are gone."""
        if self._id is not None:
            name, self._id = self._id, None
            self._transport.call(
                "POST", "/api/session/stop/", json={"persistent_id": name}, idempotent=True
            )
