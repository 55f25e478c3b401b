"""The code-editor API: what the platform answers, and what it passes on to the session's pod."""

import ipaddress
import re
from collections.abc import Callable, Iterable
from datetime import datetime
from inspect import Parameter, Signature
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as InPath
from pydantic import BaseModel
from sqlalchemy import Connection

from clouditia_jupyter.errors import SessionStateError
from clouditia_jupyter.platform import ledger, sessions
from clouditia_jupyter.platform.launcher import PodRecord
from clouditia_jupyter.platform.money import to_eur
from clouditia_jupyter.platform.routes.access import REFUSALS, KeySession, PlatformService
from clouditia_jupyter.platform.routes.passed import EXTENSIONS, STOCK, Call, PodAnswer
from clouditia_jupyter.platform.views import session_answer

CAPABILITIES = ("runs", "values", "inspection", "comms")
_PREFIX = "/code-editor/api"
_MAX_UPLOAD_MB = 2048
#: In base64 it has to fit on a command line, where Linux allows 128 KiB.
_CHUNK_BYTES = 64 * 1024

router = APIRouter(prefix=_PREFIX, tags=["code editor"], responses=REFUSALS)
extensions = APIRouter(prefix=_PREFIX, tags=["code editor, extensions"], responses=REFUSALS)


class Direct(BaseModel):
    """Where the pod itself answers, for a client on the same machine."""

    url: str
    token: str


class VerifiedSession(BaseModel):
    """The session that a key belongs to; EUR."""

    valid: bool = True
    session_id: str
    session_name: str
    gpu_type: str
    status: str
    user_credit: float
    ready: bool
    estimated_ready_in_seconds: float | None
    workspace_sync: dict[str, Any] | None
    url: str
    execute_url: str
    stream_url: str
    shell_url: str
    capabilities: list[str] = []
    direct: Direct | None = None


class UploadConfig(BaseModel):
    """How large a file, and the pieces that it is sent in, may be."""

    max_upload_size_mb: int
    chunk_size_bytes: int


@router.get("/verify/", response_model_exclude_unset=True)
async def verify(
    request: Request, service: PlatformService, session: KeySession
) -> VerifiedSession:
    """Describe the session that the key belongs to."""
    now = service.clock.now()
    credit = await service.store.run(_credit, session.row.account_id, now)
    shown = session_answer(session, service.settings, now)
    base = f"{service.settings.code_editor_url}/api"
    answer = VerifiedSession(
        valid=True,
        session_id=session.id,
        session_name=shown.name,
        gpu_type=shown.gpu_type,
        status=shown.status,
        user_credit=to_eur(credit),
        ready=shown.ready,
        estimated_ready_in_seconds=shown.estimated_ready_in_seconds,
        workspace_sync=None,
        url=shown.url,
        execute_url=f"{base}/execute/",
        stream_url=f"{base}/stream/",
        shell_url=f"{base}/shell/",
    )
    if not service.settings.stock:
        answer.capabilities = list(CAPABILITIES)
        if session.status == "running" and session.row.pod and _is_loopback(request):
            record = PodRecord.from_json(session.row.pod)
            answer.direct = Direct(url=record.url, token=record.token)
    return answer


@router.get("/upload-config/")
async def upload_config(session: KeySession) -> UploadConfig:
    """Say how large a file may be, and the pieces that it is sent in."""
    return UploadConfig(max_upload_size_mb=_MAX_UPLOAD_MB, chunk_size_bytes=_CHUNK_BYTES)


async def _pass_on(
    request: Request, service: PlatformService, session: KeySession, **checked: Any
) -> Response:
    if session.status != "running" or session.row.pod is None:
        raise SessionStateError(
            f"Session {session.row.name} ({session.id[:8]}) is {session.status}, not running; "
            "wait until it is ready, then run the code again."
        )
    body = await request.body() if "body" in checked else None
    return await service.proxy.pass_on(request, PodRecord.from_json(session.row.pod), body)


def _endpoint(call: Call) -> Callable[..., Any]:
    """Return a function whose signature says what the call carries, for FastAPI to check."""

    async def endpoint(**given: Any) -> Response:
        return await _pass_on(**given)

    parameters = [
        ("request", Request),
        ("service", PlatformService),
        ("session", KeySession),
        *((name, Annotated[str, InPath(max_length=200)]) for name in _names(call.path)),
    ]
    if call.body is not None:
        parameters.append(("body", call.body))
    if call.query is not None:
        parameters.append(("query", Annotated[call.query, Query()]))
    endpoint.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind) for name, kind in parameters]
    )
    return endpoint


def _names(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def _content(call: Call) -> dict[str, Any]:
    if call.media_type == "application/json":
        return {"model": PodAnswer, "description": "The pod's answer"}
    schema = {"type": "string"}
    return {"description": "The pod's answer", "content": {call.media_type: {"schema": schema}}}


def _add(to: APIRouter, calls: Iterable[Call]) -> None:
    for call in calls:
        bytes_body = {"content": {"application/octet-stream": {"schema": {"type": "string"}}}}
        to.add_api_route(
            call.path,
            _endpoint(call),
            methods=[call.method],
            name=f"{call.method.lower()} {call.path}",
            summary=call.summary,
            response_model=None,
            response_class=Response,
            responses={200: _content(call)},
            openapi_extra={"requestBody": bytes_body} if call.method == "PUT" else None,
        )


_add(router, STOCK)
_add(extensions, EXTENSIONS)


def _credit(connection: Connection, account_id: str, now: datetime) -> int:
    return ledger.balance(connection, account_id, sessions.meters(connection), now)


def _is_loopback(request: Request) -> bool:
    if request.client is None:
        return False
    try:
        address = ipaddress.ip_address(request.client.host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
