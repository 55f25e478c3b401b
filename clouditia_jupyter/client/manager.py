"""Rent and return GPU sessions with an account key."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from clouditia_jupyter.client import arguments, banners
from clouditia_jupyter.client.account import API, Account, given, part
from clouditia_jupyter.client.banners import Printer
from clouditia_jupyter.client.creation import create
from clouditia_jupyter.client.events import EventStream
from clouditia_jupyter.client.lifecycle import Lifecycle
from clouditia_jupyter.client.route import Route
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import (
    InsufficientResourcesError,
    SessionNotFoundError,
    SessionStateError,
)
from clouditia_jupyter.models import (
    SESSION_STATUSES,
    GPUSession,
)


class GPUManager(Account):
    """The computing API of one account. Every ``session_id`` may be the id, its first 8
    characters, or a :class:`GPUSession`.

    Parameters
    ----------
    api_key
        ``sk_compute_…``; by default ``CLOUDITIA_API_KEY``.
    base_url
        Of the computing API; by default ``CLOUDITIA_BASE_URL``, else clouditia.com.
    timeout
        Seconds that one request may take.
    http_transport
        Replaces the network, in tests.
    clock
        What waits and pauses sleep on, in tests.

    Attributes
    ----------
    user
        ``{"username": str, "email": str}`` of the key's owner.
    capabilities
        What the service can do beyond the stock one: ``idempotency``, ``wait``.

    Raises
    ------
    AuthenticationError
        If the key is malformed, or not accepted.
    ConnectionFailedError
        If nothing answers at the address.
    """

    def __enter__(self) -> GPUManager:
        return self

    @property
    def _lifecycle(self) -> Lifecycle:
        return Lifecycle(self._transport, long_poll="wait" in self.capabilities)

    def create_session(
        self,
        gpu_type: str | None = None,
        gpu_count: int = 1,
        gpus: Iterable[Mapping[str, Any]] | None = None,
        vcpu: int = 4,
        ram: int = 16,
        storage: int = 20,
        wait_ready: bool = True,
        timeout: float = 180,
        verbose: bool = True,
        allow_partial: bool = False,
        queue_if_unavailable: bool = False,
        cost_limit: float | None = None,
        duration_limit: int | None = None,
        *,
        extra_config: Mapping[str, Any] | None = None,
        environment_id: str | None = None,
        cluster_id: str | None = None,
        on_progress: Callable[[GPUSession], None] | None = None,
    ) -> GPUSession | dict[str, Any]:
        """Create a session; whatever happens on the way, at most one.

        Parameters
        ----------
        gpu_type, gpu_count
            Slug and number of GPUs of one type.
        gpus
            Instead, for several types: ``[{"type": slug, "count": number}]``.
        vcpu, ram, storage
            Number; GB; GB.
        wait_ready
            Whether to return only once the session is ready.
        timeout
            Seconds to wait for that.
        verbose
            Whether to print what happens, and to ask where only a part is available.
        allow_partial
            Whether to go on without asking with the GPUs that are available.
        queue_if_unavailable
            Whether to take a place in the queue where they are not.
        cost_limit, duration_limit
            EUR and seconds after which the session stops by itself.
        extra_config, environment_id, cluster_id
            Passed on to the service.
        on_progress
            Called with the session whenever its status or creation step has changed.

        Returns
        -------
        GPUSession
            The session, ready if ``wait_ready``.
        dict
            Where the request was queued: ``queued`` (True), ``queue_id``, ``position``,
            ``message``, ``unavailable_gpus``, ``available_gpus``.

        Raises
        ------
        InsufficientResourcesError
            If the GPUs are not available.
        WaitTimeoutError
            If it is not ready in time; it goes on, and bills.
        APIError
            If it fails; with the reason.
        """
        arguments.positive("timeout", timeout)
        body = arguments.creation_body(
            gpu_type=gpu_type,
            gpu_count=gpu_count,
            gpus=gpus,
            vcpu=vcpu,
            ram=ram,
            storage=storage,
            allow_partial=allow_partial,
            queue_if_unavailable=queue_if_unavailable,
            cost_limit=cost_limit,
            duration_limit=duration_limit,
            extra_config=extra_config,
            environment_id=environment_id,
            cluster_id=cluster_id,
        )
        say = Printer(verbose)
        say.line(f"Creating GPU session with {arguments.describe_gpus(body)}...")
        answer = self._create(body, say)
        if answer.get("queued"):
            ticket = _ticket(answer)
            say.line(banners.request_queued(ticket))
            return ticket
        session = GPUSession.from_wire(
            {"unavailable_gpus": answer.get("unavailable_gpus") or [], **part(answer, "session")}
        )
        say.line(f"Session created: {session.short_id}")
        if on_progress is not None:
            on_progress(session)
        if not wait_ready:
            return session
        ready = self._lifecycle.wait_ready(session, timeout, say, on_progress)
        return dataclasses.replace(ready, unavailable_gpus=session.unavailable_gpus)

    def _create(self, body: dict[str, Any], say: Printer) -> dict[str, Any]:
        keyed = "idempotency" in self.capabilities
        try:
            return create(self._transport, body, keyed=keyed)
        except InsufficientResourcesError as error:
            # the service checks availability itself: asking for the inventory first would only
            # cost time, and could be out of date by the time of the create
            if body["allow_partial"] or not error.available_gpus:
                raise _unavailable(error) from None
            say.line(banners.availability(error.unavailable_gpus, error.available_gpus))
            count = len(error.available_gpus)
            if not say.confirm(f"Continue with {count} available GPU(s)? [y/N]: "):
                raise _unavailable(error) from None
        return create(self._transport, {**body, "allow_partial": True}, keyed=keyed)

    def stop_session(
        self,
        session_id: str | GPUSession,
        wait_stopped: bool = True,
        timeout: float = 120,
        verbose: bool = True,
    ) -> GPUSession:
        """Stop a session: its GPUs are released, and it bills no more.

        Parameters
        ----------
        wait_stopped
            Whether to return only once it is stopped.
        timeout
            Seconds to wait for that.
        verbose
            Whether to print what happens.

        Raises
        ------
        SessionNotFoundError
            If there is no such session.
        WaitTimeoutError
            If it is still stopping after ``timeout``.
        """
        arguments.positive("timeout", timeout)
        session = self.get_session(session_id)
        say = Printer(verbose)
        say.line(f"Stopping session {session.short_id}...")
        if session.status != "stopped":
            try:
                self._post("sessions/stop", session_id=session.id)
            except (SessionNotFoundError, SessionStateError):
                # a stop that was sent again finds that the first one has worked
                if self._lifecycle.last_state(session).status not in ("stopping", "stopped"):
                    raise
        if not wait_stopped:
            return self._lifecycle.last_state(session)
        return self._lifecycle.wait_stopped(session, timeout, say)

    def pause_session(self, session_id: str | GPUSession) -> GPUSession:
        """Pause a session and return it: its files are kept, its GPUs are released.

        Raises
        ------
        UnsupportedError
            If the platform does not do that.
        """
        sid = arguments.session_id(session_id)
        self._post("sessions/pause", session_id=sid)
        return self._lifecycle.get(sid)

    def get_session(self, session_id: str | GPUSession) -> GPUSession:
        """Return the session as it is now."""
        return self._lifecycle.get(arguments.session_id(session_id))

    def list_sessions(self, status: str | None = None) -> list[GPUSession]:
        """Return the account's sessions, only those of one ``status`` where it is given."""
        arguments.one_of("status", status, SESSION_STATUSES)
        answer = self._transport.call("GET", f"{API}/sessions/", params=given(status=status))
        return [GPUSession.from_wire(item) for item in answer.get("sessions") or ()]

    def list_ended_runs(self) -> list[dict[str, Any]]:
        """Return the runs of sessions that have ended, as far as the service keeps them.

        Returns
        -------
        list of dict
            As of :meth:`LiveSession.runs`, with ``session_id``; by session, the newest first. Empty
            on a service that keeps none.
        """
        if "runs" not in self.capabilities:
            return []
        return list(self._transport.call("GET", f"{API}/runs/").get("runs") or ())

    def attach_ended(
        self, session_id: str | GPUSession, run_id: str, after: int = 0
    ) -> EventStream:
        """Return the events of one of them that come after number ``after``.

        Widgets are not among them, nor what the run asked.

        Raises
        ------
        JobNotFoundError
            From the iteration, if it is not kept.
        """
        sid, run = arguments.session_id(session_id), arguments.non_empty("run_id", run_id)
        path = f"{API}/sessions/{sid}/runs/{run}/events/"
        return EventStream(Route(self._transport, _no_pod), run, after=after, path=path)

    def rename_session(self, session_id: str | GPUSession, new_name: str) -> GPUSession:
        """Give the session another name and return it."""
        name = arguments.non_empty("new_name", new_name)
        sid = arguments.session_id(session_id)
        self._post("sessions/rename", session_id=sid, name=name)
        return self._lifecycle.get(sid)

    def add_gpu(
        self, session_id: str | GPUSession, gpu_type: str, gpu_count: int = 1
    ) -> GPUSession:
        """Add ``gpu_count`` GPUs of a type to a running session and return it.

        Raises
        ------
        UnsupportedError
            If the service cannot, as a local platform with real GPUs: the session's processes see
            those that they began with.
        """
        sid = arguments.session_id(session_id)
        slug = arguments.non_empty("gpu_type", gpu_type)
        count = arguments.whole("gpu_count", gpu_count)
        self._post(
            "sessions/add-gpu", idempotent=False, session_id=sid, gpu_type=slug, gpu_count=count
        )
        return self._lifecycle.get(sid)

    def generate_sdk_key(self, session_id: str | GPUSession, name: str = "SDK Key") -> str:
        """Return a new ``sk_live_`` key for the session, which :class:`LiveSession` takes.

        Keep it out of notebooks: it lets its bearer run code in the session.
        """
        sid = arguments.session_id(session_id)
        label = arguments.non_empty("name", name)
        # a key that was made and lost with the answer does nothing: another can be made
        answer = self._post("sessions/generate-key", session_id=sid, name=label)
        return str(part(answer, "api_key"))


def _no_pod(_url: str, _token: str) -> Transport:
    raise AssertionError("what is kept of an ended session has one way only")


def _ticket(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "queued": True,
        "queue_id": str(part(answer, "queue_id")),
        "position": answer.get("position"),
        "message": answer.get("message") or "The request waits in the queue.",
        "unavailable_gpus": list(answer.get("unavailable_gpus") or ()),
        "available_gpus": list(answer.get("available_gpus") or ()),
    }


def _unavailable(error: InsufficientResourcesError) -> InsufficientResourcesError:
    """Return the same refusal with the ways out in its text."""
    ways = "queue_if_unavailable=True waits for them in the queue"
    if error.available_gpus:
        here = ", ".join(error.available_gpus)
        ways = f"allow_partial=True goes on with {here}; {ways}"
    missing = ", ".join(error.unavailable_gpus)
    what = f"Not available now: {missing}." if missing else str(error)
    return InsufficientResourcesError(f"{what} {ways}.", status=error.status, details=error.details)
