"""The app: every call of the pod behind its token.

The platform has checked the caller's key and the body; a client on the same machine that was
handed the token talks to the pod directly.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clouditia_jupyter.errors import (
    APIError,
    AuthenticationError,
    InvalidRequestError,
    SessionLostError,
    ValueTransferError,
)
from clouditia_jupyter.platform.envelope import envelope
from clouditia_jupyter.platform.pod.api.inspection import InspectionCalls
from clouditia_jupyter.platform.pod.api.isolated import IsolatedCalls
from clouditia_jupyter.platform.pod.api.life import LifeCalls
from clouditia_jupyter.platform.pod.api.messages import MessageCalls
from clouditia_jupyter.platform.pod.api.namespaces import NamespaceCalls
from clouditia_jupyter.platform.pod.api.questions import QuestionCalls
from clouditia_jupyter.platform.pod.api.runs import RunCalls
from clouditia_jupyter.platform.pod.api.values import ValueCalls
from clouditia_jupyter.platform.pod.pod import Pod


class TokenMiddleware:
    """Lets in only who has the pod's token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not secrets.compare_digest(given, self._expected):
                await envelope(AuthenticationError("The pod's token is needed here."))(
                    scope, receive, send
                )
                return
        await self._app(scope, receive, send)


def build_app(pod: Pod, token: str, stop: Callable[[], None]) -> Starlette:
    """Return the pod's app; ``stop`` is called when the platform ends the session."""
    calls = (
        RunCalls(pod),
        QuestionCalls(pod),
        MessageCalls(pod),
        ValueCalls(pod, token),
        InspectionCalls(pod),
        NamespaceCalls(pod),
        IsolatedCalls(pod),
        LifeCalls(pod, stop),
    )
    return Starlette(
        routes=[route for group in calls for route in group.routes()],
        middleware=[Middleware(TokenMiddleware, token=token)],
        exception_handlers={
            APIError: _api_error,
            ValueTransferError: _refused,
            SessionLostError: _refused,
        },
    )


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, APIError)
    return envelope(error)


async def _refused(request: Request, error: Exception) -> Response:
    return envelope(InvalidRequestError(str(error)))
