"""Which way a session's requests take: straight to its pod, through the platform, or to an agent.

All three answer the same requests, so nothing above this module knows which it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from clouditia_jupyter.client.credentials import is_loopback
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import (
    AuthenticationError,
    ClouditiaError,
    ConnectionFailedError,
    ServiceUnavailableError,
)

T = TypeVar("T")


class Route:
    """The platform's way, always there; the pod's own address where it is offered; and the agent
    on a service without runs.

    Parameters
    ----------
    platform
        The code-editor API.
    to_pod
        Makes the transport for a pod's URL and token.
    """

    def __init__(self, platform: Transport, to_pod: Callable[[str, str], Transport]) -> None:
        self.platform = platform
        self.capabilities: frozenset[str] | None = None
        self.session_id = ""
        self._to_pod = to_pod
        self._direct: Transport | None = None
        self._agent: Transport | None = None
        self._avoid = ""

    @property
    def transport(self) -> Transport:
        """The way to take now."""
        return self._direct or self._agent or self.platform

    def verify(self) -> dict[str, Any]:
        """Return what the platform says of the session, and learn the ways to it."""
        answer = self.platform.call("GET", "/api/verify/")
        self.capabilities = frozenset(answer.get("capabilities") or ())
        self.session_id = str(answer.get("session_id") or "")
        self._learn(answer.get("direct"))
        if "runs" not in self.capabilities:
            self._need_agent()
        return answer

    def supports(self, capability: str) -> bool:
        """Return whether the service has ``capability``, asking it once."""
        if self.capabilities is None:
            self.verify()
        return capability in (self.capabilities or ())

    def _need_agent(self) -> None:
        # most services never need one
        from clouditia_jupyter.client.agent import link

        self._agent = self._agent or link.agent_transport(self.platform)
        self.capabilities = link.CAPABILITIES

    def _learn(self, offer: Any) -> None:
        url, token = "", ""
        # an offer made from afar would send this machine's requests to itself
        if isinstance(offer, Mapping) and is_loopback(self.platform.base_url):
            url, token = str(offer.get("url") or "").rstrip("/"), str(offer.get("token") or "")
        current = self._direct
        usable = token and url != self._avoid and is_loopback(url)
        if usable and current is not None and current.base_url == url and current.has_key(token):
            return
        self._direct = self._to_pod(url, token) if usable else None
        if current is not None:
            current.close()

    def detour(self, failed: Transport, error: ClouditiaError) -> bool:
        """Leave the direct way if it is the one that failed; return whether there is another.

        The platform is asked first: where it is away too, the pod may only be busy, and the
        direct way stays.
        """
        if failed is not self._direct or not isinstance(
            error, (ConnectionFailedError, AuthenticationError, ServiceUnavailableError)
        ):
            return False
        self._avoid = failed.base_url
        try:
            self.verify()
        except (ConnectionFailedError, ServiceUnavailableError):
            self._avoid = ""
            return False
        return True

    def call(self, method: str, path: str, *, idempotent: bool, **options: Any) -> dict[str, Any]:
        """Return the pod's answer, over whichever way works; see :meth:`Transport.call`."""
        return self.over(
            lambda way: way.call(method, path, idempotent=idempotent, **options),
            idempotent=idempotent,
        )

    def is_direct(self, way: Transport) -> bool:
        """Return whether a way leads straight to the pod."""
        return way is self._direct

    def over(self, send: Callable[[Transport], T], *, idempotent: bool) -> T:
        """Return what ``send`` returns, over whichever way works."""
        way = self.transport
        try:
            return send(way)
        except ClouditiaError as error:
            acted = getattr(error, "may_have_acted", False)
            if (acted and not idempotent) or not self.detour(way, error):
                raise
        return send(self.transport)

    def close(self) -> None:
        """Close the connections of all ways."""
        for way in (self._direct, self._agent):
            if way is not None:
                way.close()
        self.platform.close()
