"""The one driver: sends requests, translates what goes wrong, sends again where that is safe."""

from __future__ import annotations

import http.client
import json as jsonlib
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from types import TracebackType
from typing import Any, TypeVar

import httpx

from clouditia_jupyter import __version__
from clouditia_jupyter.client.answers import decode_answer, decode_object
from clouditia_jupyter.client.credentials import is_loopback
from clouditia_jupyter.client.loopback import LoopbackTransport
from clouditia_jupyter.client.retry import LOOPBACK, REMOTE, Failure, RetryPolicy, retry_after
from clouditia_jupyter.client.waiting import Clock, SystemClock
from clouditia_jupyter.errors import (
    ClouditiaError,
    ConfigurationError,
    ConnectionFailedError,
    NotFoundError,
    RequestTimeoutError,
    ServiceUnavailableError,
)

T = TypeVar("T")

logger = logging.getLogger(__name__)

_LIMITS = httpx.Limits(max_keepalive_connections=8, keepalive_expiry=60.0)
_CONNECT_TIMEOUT = 10.0
#: A run's stream carries a heartbeat every 15 s: three missing ones mean a dead connection.
STREAM_READ_TIMEOUT = 45.0


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    # making one takes tens of milliseconds
    return httpx.create_ssl_context()


@lru_cache(maxsize=64)
def _url(base: str, path: str) -> httpx.URL:
    return httpx.URL(base + path)


class Transport:
    """A service's base URL, the key for it, and the connections that are kept open to it.

    Safe to share between threads.

    Parameters
    ----------
    base_url
        Without a trailing slash.
    key
        Bearer token.
    timeout
        Seconds that the service may take to answer one request.
    http_transport
        Replaces the network, in tests.
    clock
        What the pauses between tries sleep on.
    retries
        By default the policy that suits the address.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout: float = 60.0,
        http_transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
        retries: RetryPolicy | None = None,
    ) -> None:
        self.base_url = base_url
        self.clock: Clock = clock or SystemClock()
        self.timeout = timeout
        local = is_loopback(base_url)
        self.retries = retries or (LOOPBACK if local else REMOTE)
        self._key = key.encode("ascii")
        self._headers = httpx.Headers(
            {
                "Authorization": f"Bearer {key}",
                "User-Agent": f"clouditia_jupyter/{__version__}",
                "Accept": "*/*",
            }
        )
        self._post_headers = self._headers.copy()
        self._post_headers["Content-Type"] = "application/json"
        self._is_plain = local and http_transport is None and base_url.startswith("http:")
        self._resource, self._send = _network(base_url, local, http_transport)

    def __repr__(self) -> str:
        return f"Transport({self.base_url!r})"

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def has_key(self, key: str) -> bool:
        """Return whether ``key`` is the one in use."""
        return self._key == key.encode("ascii", "replace")

    def close(self) -> None:
        """Close the connections."""
        self._resource.close()

    @property
    def prefix(self) -> str:
        """What stands before each path on the service's host."""
        return _url(self.base_url, "/").path.rstrip("/")

    @property
    def authorization(self) -> dict[str, str]:
        """The headers that the service asks for."""
        return {name: self._headers[name] for name in ("Authorization", "User-Agent")}

    def plain_connection(self, port: int | None = None) -> http.client.HTTPConnection | None:
        """Return a new connection for much data; None where only this transport knows the way.

        Parameters
        ----------
        port
            Another one of the same host.
        """
        if not self._is_plain:
            return None
        url = _url(self.base_url, "/")
        return http.client.HTTPConnection(url.host, port or url.port, timeout=self.timeout)

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: Iterable[bytes] | bytes | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        read_timeout: float | None = None,
    ) -> httpx.Request:
        """Return the request for ``path`` under the base URL, authorised and timed."""
        seconds = self.timeout if timeout is None else timeout
        if json is not None:
            content = jsonlib.dumps(json).encode()
        merged = self._headers if json is None else self._post_headers
        if headers:
            merged = merged.copy()
            merged.update(headers)
        timeouts = {
            "connect": min(seconds, _CONNECT_TIMEOUT),
            "read": seconds if read_timeout is None else read_timeout,
            "write": seconds,
            "pool": _CONNECT_TIMEOUT,
        }
        return httpx.Request(
            method,
            _url(self.base_url, path),
            params=params or None,
            headers=merged,
            content=content,
            extensions={"timeout": timeouts},
        )

    def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
        missing: type[NotFoundError] = NotFoundError,
        failure_is_answer: bool = False,
    ) -> dict[str, Any]:
        """Return the answer's JSON object, after as many tries as are safe.

        Parameters
        ----------
        idempotent
            Whether sending twice does what sending once does; by default for a GET only.
        missing
            The class of a 404 that does not say what is missing.
        failure_is_answer
            Whether HTTP 200 with ``success: false`` is what the caller wants to read.

        Raises
        ------
        APIError
            When the answer is no.
        ConnectionFailedError
            When there is none.
        """
        request = self.request(
            method, path, json=json, params=params, headers=headers, timeout=timeout
        )

        def decode(response: httpx.Response, body: bytes) -> dict[str, Any]:
            # a service that quotes the key back must not put it into an exception's text
            clean = body.replace(self._key, b"***")
            meaning = decode_object if failure_is_answer else decode_answer
            return meaning(response.status_code, clean, missing=missing)

        return self.exchange(
            request, decode, idempotent=method == "GET" if idempotent is None else idempotent
        )

    def changed(
        self, path: str, tag: str, *, timeout: float | None = None
    ) -> tuple[str, dict[str, Any]] | None:
        """Return an answer with its tag; None where ``tag`` is still that of the answer.

        Raises
        ------
        APIError, ConnectionFailedError
            As for :meth:`call`; a GET that is made again soon is not worth another try now.
        """
        headers = {"If-None-Match": tag} if tag else None

        def decode(response: httpx.Response, body: bytes) -> tuple[str, dict[str, Any]] | None:
            if response.status_code == 304 and tag:
                return None
            answer = decode_answer(response.status_code, body.replace(self._key, b"***"))
            return response.headers.get("etag", ""), answer

        request = self.request("GET", path, headers=headers, timeout=timeout)
        return self.exchange(request, decode, idempotent=False)

    def exchange(
        self,
        request: httpx.Request,
        decode: Callable[[httpx.Response, bytes], T],
        *,
        idempotent: bool,
    ) -> T:
        """Return what ``decode`` makes of the answer, after as many tries as are safe."""
        tries = 0
        while True:
            tries += 1
            error: ClouditiaError
            cause: BaseException | None
            patience: float | None = None
            try:
                response = self._send(request)
                try:
                    body = response.read()
                finally:
                    response.close()
                logger.debug("%s %s: %d", request.method, request.url.path, response.status_code)
                return decode(response, body)
            except httpx.TransportError as raised:
                error, failure = translate(raised, self.base_url)
                cause = raised
            except ServiceUnavailableError as raised:
                error, failure, cause = raised, Failure.UNAVAILABLE, raised.__cause__
                patience = retry_after(response.headers)
            pause = self.retries.pause(failure, tries, idempotent=idempotent, retry_after=patience)
            if pause is None:
                raise error from cause
            logger.info("%s %s: %s; again in %g s", request.method, request.url.path, error, pause)
            self.clock.sleep(pause)

    def stream(self, request: httpx.Request) -> httpx.Response:
        """Return the answer to one try with its body still to be read.

        The caller closes it, and passes what reading raises to :func:`translate`.

        Raises
        ------
        APIError
            When the answer is no.
        ConnectionFailedError
            When there is none.
        """
        try:
            response = self._send(request)
            if response.status_code == 200:
                return response
            try:
                body = response.read()
            finally:
                response.close()
        except httpx.TransportError as error:
            raise translate(error, self.base_url)[0] from error
        decode_answer(response.status_code, body.replace(self._key, b"***"))
        raise ServiceUnavailableError(
            f"The service answered HTTP {response.status_code} where it should have streamed; "
            "try again in a minute."
        )


def translate(
    error: httpx.TransportError, base_url: str
) -> tuple[ConnectionFailedError | ConfigurationError, Failure]:
    """Return what an httpx exception means to the user, and to the decision on a retry."""
    reason = str(error) or type(error).__name__
    failed: ConnectionFailedError
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return (
            ConfigurationError(f"No request can be made to {base_url} ({reason}); check it."),
            Failure.HOPELESS,
        )
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        failed = ConnectionFailedError(
            f"The certificate of {base_url} cannot be trusted ({reason}). "
            "Check the address, or set SSL_CERT_FILE to your organisation's certificates."
        )
        return failed, Failure.HOPELESS
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError)):
        failed = ConnectionFailedError(
            f"Nothing answers at {base_url} ({reason}). "
            "Check that the platform runs there and that the address is right."
        )
        return failed, Failure.REFUSED
    if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
        failed = RequestTimeoutError(
            f"No connection to {base_url} could be made in time. "
            "Check the network and the address, then try again."
        )
        return failed, Failure.REFUSED
    if isinstance(error, httpx.TimeoutException):
        failed = RequestTimeoutError(
            f"{base_url} did not answer in time; whether it acted is not known. "
            "Look before you repeat the call, or allow it a longer timeout."
        )
    else:
        failed = ConnectionFailedError(
            f"The connection to {base_url} broke before the answer came ({reason}); "
            "whether it acted is not known. Look before you repeat the call."
        )
    failed.may_have_acted = True
    return failed, Failure.UNANSWERED


def _network(
    base_url: str, local: bool, given: httpx.BaseTransport | None
) -> tuple[httpx.BaseTransport | httpx.Client, Callable[[httpx.Request], httpx.Response]]:
    """Return what holds the connections, and the function that sends over them.

    To this machine no proxy, cookie or redirect applies, so the client's share of the work is left
    out.
    """
    if given is None and not local:
        verify: ssl.SSLContext | bool = _tls() if base_url.startswith("https:") else False
        client = httpx.Client(verify=verify, limits=_LIMITS)
        return client, partial(client.send, stream=True)
    if given is not None:
        wire = given
    elif base_url.startswith("https:"):
        wire = httpx.HTTPTransport(verify=_tls(), trust_env=False, limits=_LIMITS)
    else:
        wire = LoopbackTransport()
    return wire, wire.handle_request
