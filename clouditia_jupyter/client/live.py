"""One running session, by its own key: run code in it, follow what it prints, move variables."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from clouditia_jupyter.client.access import Access
from clouditia_jupyter.client.arguments import non_empty, positive
from clouditia_jupyter.client.events import EventStream
from clouditia_jupyter.client.isolated import run_isolated
from clouditia_jupyter.client.results import RunResult, ShellResult
from clouditia_jupyter.client.timed import fold_within
from clouditia_jupyter.client.transfer import Transfer
from clouditia_jupyter.errors import UnsupportedError

#: Seconds after which an answer for somebody who types comes too late.
_TYPING_PATIENCE = 0.3
_FOUND: dict[str, Callable[[], Any]] = {"present": list, "imported": list, "failed": dict}


class LiveSession(Access):
    """A running session, reached with its ``sk_live_`` key.

    Works the same with the stock service, which has neither event streams nor variables: there an
    agent is sent into the session, which has them.

    Parameters
    ----------
    api_key
        ``sk_live_…`` or ``ck_…``; ``GPUManager.generate_sdk_key`` makes one.
    base_url
        Of the code-editor API; by default ``CLOUDITIA_EDITOR_URL``, else clouditia.com.
    timeout
        Seconds that one request may take. Runs are not bound by it.
    http_transport
        Replaces the network, in tests.
    clock
        What pauses sleep on, in tests.

    Raises
    ------
    AuthenticationError
        If the key cannot be a session's. Nothing is sent before the first call.
    """

    def __enter__(self) -> LiveSession:
        return self

    @cached_property
    def transfer(self) -> Transfer:
        """How variables travel."""
        return Transfer(self._route)

    # Runs

    def start(
        self,
        code: str,
        *,
        run_id: str | None = None,
        silent: bool = False,
        store_history: bool = True,
        allow_stdin: bool = False,
        limit: float | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> EventStream:
        """Submit ``code`` and return the stream of what it does.

        Parameters
        ----------
        run_id
            32 hexadecimal digits of the caller's choice. Submitting the same id twice runs the
            code once, and :meth:`attach` finds the run even where this call was interrupted.
        silent
            Whether the last expression shows nothing.
        store_history
            Whether the kernel counts it and keeps ``_``.
        allow_stdin
            Whether the code may ask: an ``input_request`` event then waits for
            :meth:`EventStream.answer`. Otherwise ``input()`` raises there.
        limit
            Seconds after which the session interrupts the run, whoever listens by then.
        values
            What is put into the session's namespace right before the code runs, as
            :meth:`push_all` does. Where the session cannot take it, the run fails with a
            ``ValueTransferError``, and its code does not run.

        Raises
        ------
        ValueTransferError
            If one of the values cannot cross.
        UnsupportedError
            On a service that keeps no Python between two requests; :meth:`run` works there.
        """
        self._need("runs")
        run_id = run_id or uuid.uuid4().hex
        submission = {
            "code": code,
            "run_id": run_id,
            "silent": silent,
            "store_history": store_history,
            "allow_stdin": allow_stdin,
        }
        if limit is not None:
            submission["limit"] = positive("limit", limit)
        stream = EventStream(self._route, run_id, submission=submission)
        if not values:
            return stream.open()
        self._need("values")
        with self.transfer.offered(values) as submission["parcel"]:
            return stream.open()

    def attach(self, run_id: str, after: int = 0) -> EventStream:
        """Return the stream of a run's events that come after number ``after``.

        Raises
        ------
        JobNotFoundError
            From the iteration, if the session has no such run.
        """
        self._need("runs")
        return EventStream(self._route, non_empty("run_id", run_id), after=after)

    def runs(self) -> list[dict[str, Any]]:
        """Return one dict per run of the session.

        Returns
        -------
        list of dict
            ``run_id``, ``status`` (queued, running, ok, error, lost), ``started_at``, ``seconds``,
            ``first_line``, ``events``.
        """
        self._need("runs")
        return list(self._route.call("GET", "/api/runs/", idempotent=True).get("runs") or ())

    def glance(self) -> dict[str, Any]:
        """Return what the session runs and uses, where it is the session that has to be asked.

        Returns
        -------
        dict
            ``runs``, the latest first, as of :meth:`runs`; ``use`` with ``cpu_percent`` (100 is one
            core), ``memory_bytes`` and ``gpus``, as ``nvidia-smi`` tells of them there.

        Raises
        ------
        UnsupportedError
            On a platform that tells this of all sessions at once; see ``client.overview``.
        """
        self._need("glance")
        return self._route.call("GET", "/api/glance/", idempotent=True)

    def restart_kernel(self) -> None:
        """Replace the session's kernel by a fresh one: variables are gone, a run ends as lost."""
        self._need("runs")
        self._route.call("POST", "/api/kernel/restart/", json={}, idempotent=False)

    def run(self, code: str, timeout: float | None = None) -> RunResult:
        """Run ``code`` and return what it came to; code that raises makes a result that says so.

        Parameters
        ----------
        timeout
            Seconds after which the run is interrupted; None is no limit.

        Raises
        ------
        WaitTimeoutError
            If it does not end even when it is interrupted.
        KeyboardInterrupt
            After passing it on to the remote code.
        """
        if timeout is not None:
            positive("timeout", timeout)
        try:
            stream = self.start(code)
        except UnsupportedError:
            return run_isolated(self._route.platform, code, timeout)
        return fold_within(stream, timeout, self._route.transport.clock)

    def shell(self, command: str, timeout: float | None = None) -> ShellResult:
        """Run a shell command in the session and return what it came to.

        Raises
        ------
        CommandBlockedError
            If the service refuses the command; ``reason`` says why.
        """
        answer = self._route.platform.call(
            "POST",
            "/api/shell/",
            json={"command": non_empty("command", command)},
            timeout=timeout,
            failure_is_answer=True,
        )
        return ShellResult.from_answer(answer)

    # Names, while a person types

    def complete(self, code: str, cursor: int) -> dict[str, Any] | None:
        """Return the session's completions at ``cursor``, in characters from the code's start.

        Returns
        -------
        dict or None
            ``matches``, ``cursor_start``, ``cursor_end``, ``metadata`` as in a Jupyter reply; None
            where the session is busy, slow, or cannot tell.
        """
        return self._ask("/api/complete/", code, cursor, 0)

    def inspect(self, code: str, cursor: int, detail: int = 0) -> dict[str, Any] | None:
        """Return the session's help on the name at ``cursor``; see :meth:`complete`.

        Returns
        -------
        dict or None
            ``found``, ``data`` and ``metadata`` as in a Jupyter reply.
        """
        return self._ask("/api/inspect/", code, cursor, detail)

    def _ask(self, path: str, code: str, cursor: int, detail: int) -> dict[str, Any] | None:
        if not self._route.supports("inspection"):
            return None
        question = {"code": code, "cursor_pos": cursor, "detail_level": detail}
        answer = self._route.call(
            "POST", path, json=question, timeout=_TYPING_PATIENCE, idempotent=False
        ).get("answer")
        return answer if isinstance(answer, dict) else None

    # Variables

    def push(self, name: str, value: Any) -> None:
        """Put ``value`` into the session's namespace as ``name``.

        Raises
        ------
        ValueTransferError
            If it cannot cross.
        """
        self.push_all({name: value})

    def push_all(self, values: Mapping[str, Any]) -> None:
        """Put values into the session's namespace by name: all of them, or none.

        Parameters
        ----------
        values
            Any that can cross, or what :func:`.transfer.encoded` made of one.

        Raises
        ------
        ValueTransferError
            If one of them cannot cross.
        """
        self._need("values")
        self.transfer.push(values)

    def pull(self, name: str, allow_pickle: bool = False) -> Any:
        """Return the value of the session's variable ``name``.

        Parameters
        ----------
        allow_pickle
            Whether to unpickle what has no safer form: that runs code of the session's choice on
            this machine.

        Raises
        ------
        ValueTransferError
            If it cannot cross.
        """
        return self.pull_all([name], allow_pickle)[name]

    def pull_all(self, names: Iterable[str], allow_pickle: bool = False) -> dict[str, Any]:
        """Return the values of several variables, as they are at one moment, by name.

        See :meth:`pull`.
        """
        self._need("values")
        return self.transfer.pull(names, allow_pickle=allow_pickle)

    def look_up(
        self, names: Iterable[str], modules: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Say which names the session has, and import modules there that it lacks; one request.

        Parameters
        ----------
        names
            Names to look for.
        modules
            Full names of modules, by the name that each is to have: ``{"np": "numpy"}``.

        Returns
        -------
        dict
            ``present``, a list of those of all these names that were there; ``imported``, one of
            those of modules that are there now; ``failed``, by name, why a module is not.
        """
        self._need("values")
        wanted = {"names": list(names), "modules": dict(modules or {})}
        # as with values, the kernel may be busy with a cell for a while
        answer = self._route.call("POST", "/api/names/", json=wanted, idempotent=True)
        return {key: answer.get(key) or type_() for key, type_ in _FOUND.items()}
