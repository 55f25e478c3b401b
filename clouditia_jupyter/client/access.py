"""What the key of one session opens: the ways to it, and what the service says of it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx

from clouditia_jupyter.client import credentials
from clouditia_jupyter.client.arguments import positive
from clouditia_jupyter.client.route import Route
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.client.waiting import Backoff, Clock
from clouditia_jupyter.errors import SessionStateError, UnsupportedError, WaitTimeoutError

_OVER = frozenset({"stopping", "stopped", "failed", "paused", "archived"})


class Access:
    """A session's connections and facts; see :class:`.live.LiveSession`."""

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        timeout: float = 60,
        *,
        http_transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        def to(url: str, key: str) -> Transport:
            return Transport(
                url,
                key,
                timeout=positive("timeout", timeout),
                http_transport=http_transport,
                clock=clock,
            )

        platform = to(credentials.editor_url(base_url), credentials.session_key(api_key))
        self._route = Route(platform, to)
        self._facts: dict[str, Any] = {}

    def __repr__(self) -> str:
        name = f", session={self._facts['session_id'][:8]!r}" if self._facts else ""
        return f"{type(self).__name__}({self._route.platform.base_url!r}{name})"

    def __enter__(self) -> Access:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; the session goes on."""
        self._route.close()

    def verify(self) -> dict[str, Any]:
        """Return what the service says of this session.

        Returns
        -------
        dict
            ``session_id``, ``session_name``, ``gpu_type``, ``status``, ``user_credit``, ``ready``
            and more; the key to the pod itself is left out.
        """
        answer = self._route.verify()
        answer.pop("direct", None)
        answer.setdefault("ready", answer.get("status") == "running")
        answer["session_id"] = str(answer.get("session_id") or "")
        self._facts = answer
        return dict(answer)

    @property
    def session_id(self) -> str:
        """The session's full id."""
        return str((self._facts or self.verify())["session_id"])

    @property
    def session_name(self) -> str:
        """The session's name when it was last asked for."""
        return str((self._facts or self.verify()).get("session_name") or "")

    @property
    def capabilities(self) -> frozenset[str]:
        """What can be done here beyond the stock service: ``runs``, ``values`` and more."""
        if self._route.capabilities is None:
            self.verify()
        return self._route.capabilities or frozenset()

    def is_ready(self) -> bool:
        """Return whether the session runs and its workspace is restored."""
        return bool(self.verify()["ready"])

    def wait_until_ready(self, timeout: float = 180) -> dict[str, Any]:
        """Return what :meth:`verify` says once the session is ready.

        Raises
        ------
        WaitTimeoutError
            After ``timeout`` seconds; the session goes on, and bills.
        SessionStateError
            If it has ended instead.
        """
        clock = self._route.platform.clock
        end = clock.monotonic() + positive("timeout", timeout)
        backoff = Backoff(clock)
        while not (facts := self.verify())["ready"]:
            if facts.get("status") in _OVER:
                raise SessionStateError(
                    f"Session {facts['session_id'][:8]} is {facts['status']} and will not become "
                    "ready; create another."
                )
            remaining = end - clock.monotonic()
            if remaining <= 0:
                raise WaitTimeoutError(
                    f"Session {facts['session_id'][:8]} is not ready after {timeout:g} s. It goes "
                    "on, and bills; wait again, or stop it with GPUManager.stop_session."
                )
            backoff.sleep(remaining)
        return facts

    def _need(self, capability: str) -> None:
        if not self._route.supports(capability):
            raise UnsupportedError(
                f"This service has no {capability}; run(code) works on it, "
                "and the local platform has them."
            )
