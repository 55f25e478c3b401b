"""Passes requests on to a session's pod, and its answers back, as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import StreamingResponse

from clouditia_jupyter.errors import ServiceUnavailableError
from clouditia_jupyter.platform.launcher import PodRecord

if TYPE_CHECKING:
    import httpx

_REQUEST_HEADERS = frozenset({"accept", "content-type", "content-length"})
#: Of one hop only; and ``date`` and ``server`` are added again.
_NOT_PASSED_BACK = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "date", "server", "trailer", "upgrade"}
)
_CONNECT_SECONDS = 5.0
#: Less than a pod keeps an idle connection, so that none is used in the moment it closes.
_KEEPALIVE_SECONDS = 2.0


class Proxy:
    """The connections to the pods.

    Parameters
    ----------
    on_silence
        Called when a pod does not answer.
    """

    def __init__(self, on_silence: Callable[[], None]) -> None:
        self._on_silence = on_silence
        self._client: httpx.AsyncClient | None = None

    async def pass_on(
        self, request: Request, record: PodRecord, body: bytes | None = None
    ) -> StreamingResponse:
        """Return the pod's answer to the request, streamed through.

        Parameters
        ----------
        body
            The request's body where it has been read; None streams it.

        Raises
        ------
        ServiceUnavailableError
            If the pod does not answer.
        """
        import httpx

        client = self._connections()
        path = request.url.path.removeprefix("/code-editor")
        outgoing = client.build_request(
            request.method,
            record.url + path,
            params=str(request.query_params),
            headers=[
                *((k, v) for k, v in request.headers.items() if k in _REQUEST_HEADERS),
                ("Authorization", f"Bearer {record.token}"),
            ],
            content=_content(request, body),
        )
        try:
            answer = await client.send(outgoing, stream=True)
        except httpx.TransportError as error:
            self._on_silence()
            raise ServiceUnavailableError(
                "The session's pod does not answer; see the session's status, "
                "and try again if it still runs."
            ) from error
        return StreamingResponse(
            _chunks(answer), answer.status_code, headers=dict(_passed_back(answer.headers.items()))
        )

    async def ask(self, record: PodRecord, path: str, seconds: float) -> dict[str, Any] | None:
        """Return what the pod says at ``path``; None where it does not within ``seconds``."""
        import httpx

        try:
            answer = await self._connections().get(
                record.url + path,
                headers={"Authorization": f"Bearer {record.token}"},
                timeout=seconds,
            )
        except httpx.TransportError:
            return None
        return answer.json() if answer.is_success else None

    async def close(self) -> None:
        """End the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _connections(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(
                # a cell may say nothing for days
                timeout=httpx.Timeout(None, connect=_CONNECT_SECONDS),
                limits=httpx.Limits(keepalive_expiry=_KEEPALIVE_SECONDS),
                trust_env=False,
                verify=False,
            )
        return self._client


def _content(request: Request, body: bytes | None) -> bytes | AsyncIterator[bytes] | None:
    if body is not None:
        return body
    return None if request.method in ("GET", "HEAD") else request.stream()


def _passed_back(headers: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    return ((k, v) for k, v in headers if k.lower() not in _NOT_PASSED_BACK)


async def _chunks(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()
