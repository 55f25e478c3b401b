"""One account of the computing API: what is on offer, what it costs, what is queued."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, cast

import httpx

from clouditia_jupyter.client import arguments, banners, credentials
from clouditia_jupyter.client.banners import Printer
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.client.waiting import Clock
from clouditia_jupyter.errors import (
    APIError,
    AuthenticationError,
    QueueJobNotFoundError,
    SessionNotFoundError,
)
from clouditia_jupyter.models import (
    QUEUE_STATUSES,
    Cluster,
    GPUInventory,
    GPUSession,
    Inventory,
    QueueAttempt,
    QueueJob,
    SessionCost,
    SessionCosts,
    decode,
)

API = "/api/computing"


class Account:
    """The computing API with one account key; :class:`GPUManager` adds the sessions."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = 60,
        *,
        http_transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._transport = Transport(
            credentials.computing_url(base_url),
            credentials.account_key(api_key),
            timeout=arguments.positive("timeout", timeout),
            http_transport=http_transport,
            clock=clock,
        )
        try:
            answer = self._transport.call("GET", f"{API}/verify/")
            if answer.get("valid") is False:
                raise AuthenticationError(
                    "The key is not accepted: it is wrong, expired or revoked. Make a new one."
                )
        except BaseException:
            self._transport.close()
            raise
        self.user: dict[str, Any] = dict(answer.get("user") or {})
        self.capabilities = frozenset(answer.get("capabilities") or ())

    def __repr__(self) -> str:
        user = self.user.get("username")
        return f"{type(self).__name__}({self._transport.base_url!r}, user={user!r})"

    def __enter__(self) -> Account:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; sessions go on."""
        self._transport.close()

    @property
    def transport(self) -> Transport:
        """What sends the requests."""
        return self._transport

    # Offer

    def get_inventory(self, cluster_id: str | None = None) -> Inventory:
        """Return the GPU types on offer, with their prices and how many are available.

        Returns
        -------
        Inventory
            A list of :class:`GPUInventory`.
        """
        params = given(cluster_id=cluster_id)
        answer = self._transport.call("GET", f"{API}/inventory/", params=params)
        return Inventory(decode(GPUInventory, item) for item in answer.get("inventory") or ())

    def list_clusters(self) -> list[Cluster]:
        """Return the groups of machines that a session can be asked to run on."""
        answer = self._transport.call("GET", f"{API}/clusters/")
        return [decode(Cluster, item) for item in answer.get("clusters") or ()]

    # Money

    def get_balance(self) -> dict[str, Any]:
        """Return ``{"balance": float, "currency": "EUR"}``."""
        answer = self._transport.call("GET", f"{API}/balance/")
        return {
            "balance": float(answer.get("balance") or 0.0),
            "currency": answer.get("currency") or "EUR",
        }

    def get_session_cost(self, session_id: str | GPUSession) -> SessionCost:
        """Return what one session has cost so far (EUR), and for how long it has run."""
        answer = self._transport.call(
            "GET",
            f"{API}/sessions/cost/",
            params={"session_id": arguments.session_id(session_id)},
            missing=SessionNotFoundError,
        )
        return cast("SessionCost", _fields(SessionCost, answer))

    def get_session_duration(self, session_id: str | GPUSession) -> dict[str, Any]:
        """Return how long a session has run: ``duration_seconds``, ``duration_hours``,
        ``duration_display``, ``started_at`` and ``ended_at``.
        """
        wanted = ("duration_seconds", "duration_hours", "duration_display")
        cost: Mapping[str, Any] = self.get_session_cost(session_id)
        return {key: cost[key] for key in (*wanted, "started_at", "ended_at")}

    def get_sessions_cost(self, session_ids: Iterable[str | GPUSession]) -> SessionCosts:
        """Return what several sessions have cost so far, each and together."""
        answer = self._post("sessions/costs", session_ids=arguments.session_ids(session_ids))
        return cast("SessionCosts", _fields(SessionCosts, answer))

    def get_active_sessions_cost(self) -> SessionCosts:
        """Return what the running sessions have cost so far, each and together."""
        answer = self._transport.call(
            "GET", f"{API}/sessions/costs/", params={"active_only": "true"}
        )
        return cast("SessionCosts", _fields(SessionCosts, answer))

    # Queue

    def list_queue_jobs(self, status: str | None = None) -> list[QueueJob]:
        """Return the account's tickets, only those of one ``status`` where it is given."""
        arguments.one_of("status", status, QUEUE_STATUSES)
        answer = self._transport.call("GET", f"{API}/queue/", params=given(status=status))
        return [decode(QueueJob, item) for item in answer.get("queue_jobs") or ()]

    def get_queue_job(self, queue_id: str, verbose: bool = False) -> dict[str, Any]:
        """Return a ticket and the tries to serve it.

        Returns
        -------
        dict
            ``job`` (:class:`QueueJob`), ``attempts`` (list of :class:`QueueAttempt`) and
            ``attempts_count``.
        """
        answer = self._transport.call(
            "GET",
            f"{API}/queue/job/",
            params={"queue_id": arguments.queue_id(queue_id)},
            missing=QueueJobNotFoundError,
        )
        job = decode(QueueJob, part(answer, "queue_job"))
        attempts = [decode(QueueAttempt, item) for item in answer.get("attempts") or ()]
        Printer(verbose).line(banners.queue_job(job, attempts))
        return {"job": job, "attempts": attempts, "attempts_count": len(attempts)}

    def cancel_queue_job(self, queue_id: str, verbose: bool = True) -> bool:
        """Give up a place in the queue; returns True."""
        wanted = arguments.queue_id(queue_id)
        self._post("queue/cancel", missing=QueueJobNotFoundError, queue_id=wanted)
        Printer(verbose).line(f"Queue job {wanted[:8]}... cancelled successfully")
        return True

    def _post(
        self,
        path: str,
        *,
        idempotent: bool = True,
        missing: type[SessionNotFoundError | QueueJobNotFoundError] = SessionNotFoundError,
        **body: Any,
    ) -> dict[str, Any]:
        return self._transport.call(
            "POST", f"{API}/{path}/", json=body, idempotent=idempotent, missing=missing
        )


def given(**params: str | None) -> dict[str, str]:
    """Return the parameters that are not None."""
    return {key: value for key, value in params.items() if value is not None}


def part(answer: Mapping[str, Any], key: str) -> Any:
    """Return what an answer must have under ``key``."""
    if not answer.get(key):
        raise APIError(f"The service's answer lacks {key}; look at list_sessions() and try again.")
    return answer[key]


_DEFAULTS: Mapping[str, Any] = {
    "sessions": (),
    "session_count": 0,
    "cost": 0.0,
    "hourly_rate": 0.0,
    "total_cost": 0.0,
    "duration_seconds": 0,
    "duration_hours": 0.0,
    "duration_display": "0s",
    "total_duration_seconds": 0,
    "total_duration_display": "0s",
    "currency": "EUR",
}


def _fields(kind: type[Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the documented keys of an answer, each with its default where it is missing."""
    values = {key: answer.get(key, _DEFAULTS.get(key)) for key in kind.__annotations__}
    if "sessions" in values:
        values["sessions"] = list(values["sessions"])
    return values
