"""Running code on a service that cannot keep an agent: each piece by itself, one request each."""

from __future__ import annotations

from clouditia_jupyter.client.results import RunResult, from_exec
from clouditia_jupyter.client.transport import Transport

#: The stock service's proxy cuts a request at about 100 s; a longer run must end before.
DEFAULT_TIMEOUT = 90.0
#: What the answer may take beyond the code itself, in seconds.
_MARGIN = 10.0


def run_isolated(platform: Transport, code: str, timeout: float | None = None) -> RunResult:
    """Return what ``code`` came to; it shares no variables with what ran before.

    Raises
    ------
    ConnectionFailedError
        If the answer did not come. The code is never sent twice.
    """
    limit = DEFAULT_TIMEOUT if timeout is None else timeout
    answer = platform.call(
        "POST",
        "/api/execute/",
        json={"code": code},
        timeout=limit + _MARGIN,
        failure_is_answer=True,
    )
    return from_exec(answer)
