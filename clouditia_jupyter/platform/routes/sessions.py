"""The computing API: sessions."""

import hashlib
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from sqlalchemy import Connection

from clouditia_jupyter.errors import InvalidRequestError, SessionStateError, UnsupportedError
from clouditia_jupyter.models import SESSION_STATUSES
from clouditia_jupyter.platform import answers, bodies, keys, sessions, tickets, views
from clouditia_jupyter.platform.admission import Application, Outcome
from clouditia_jupyter.platform.money import to_micro
from clouditia_jupyter.platform.requests import SessionRequest, check_gpus
from clouditia_jupyter.platform.routes.access import PREFIX, REFUSALS, Account, PlatformService
from clouditia_jupyter.platform.service import Service

router = APIRouter(prefix=f"{PREFIX}/sessions", tags=["sessions"], responses=REFUSALS)

CLUSTER_ID = "local"
_LONGEST_WAIT = 20.0


@router.post("/create/", response_model_exclude_unset=True)
async def create(
    body: bodies.CreateSession,
    service: PlatformService,
    account: Account,
    idempotency_key: Annotated[str | None, Header(min_length=8, max_length=128)] = None,
) -> answers.CreatedAnswer:
    """Create a session, or queue for one; the same ``Idempotency-Key`` gives the same one."""
    application = Application(
        account_id=account,
        request=_request(body, service),
        queue=body.queue_if_unavailable,
        key=None if service.settings.stock else idempotency_key,
        digest=hashlib.sha256(body.model_dump_json().encode()).hexdigest(),
    )
    outcome = await service.lifecycle.admit(application)
    if outcome.session_id is None:
        return await service.store.run(_queued, outcome, application)
    session = await service.store.run(sessions.load, outcome.session_id)
    answer = answers.CreatedAnswer(success=True, session=_view(session, service))
    if outcome.unavailable_gpus:
        answer.unavailable_gpus = outcome.unavailable_gpus
    return answer


@router.get("/", response_model_exclude_unset=True)
async def list_sessions(
    service: PlatformService,
    account: Account,
    status: Annotated[str | None, Query(examples=["running"])] = None,
) -> answers.SessionsAnswer:
    """List the sessions, newest first."""
    if status and status not in SESSION_STATUSES:
        raise InvalidRequestError(
            f"There is no status {status[:40]!r}; choose one of {', '.join(SESSION_STATUSES)}."
        )
    found = await service.store.run(sessions.listing, account, [status] if status else None)
    return answers.SessionsAnswer(
        success=True, sessions=[_view(session, service) for session in found]
    )


@router.get("/status/", response_model_exclude_unset=True)
async def status(
    session_id: bodies.SessionId,
    service: PlatformService,
    account: Account,
    wait: Annotated[float, Query(ge=0, allow_inf_nan=False)] = 0.0,
    seen: Annotated[str, Query(max_length=100)] = "",
) -> answers.OneSessionAnswer:
    """Show a session; with ``wait``, as soon as its ``status:creation_step`` is not ``seen``."""
    session = await service.store.run(sessions.find, account, session_id)
    if wait and seen and not service.settings.stock:
        session = await service.changes.wait_while(
            session.id,
            lambda: service.store.run(sessions.load, session.id),
            lambda read: f"{read.status}:{read.row.creation_step}",
            seen,
            min(wait, _LONGEST_WAIT),
        )
    return _one(session, service)


@router.post("/stop/", response_model_exclude_unset=True)
async def stop(
    body: bodies.OneSession, service: PlatformService, account: Account
) -> answers.OneSessionAnswer:
    """Stop a session; its pod is gone when the status is ``stopped``."""
    session = await service.store.run(sessions.find, account, body.session_id)
    await service.lifecycle.stop(session.id, "user")
    return _one(await service.store.run(sessions.load, session.id), service)


@router.post("/rename/", response_model_exclude_unset=True)
async def rename(
    body: bodies.RenameSession, service: PlatformService, account: Account
) -> answers.OneSessionAnswer:
    """Give a session another name."""
    session = await service.store.run(sessions.find, account, body.session_id)
    await service.store.run(sessions.rename, session.id, body.name)
    return _one(await service.store.run(sessions.load, session.id), service)


@router.post("/add-gpu/", response_model_exclude_unset=True)
async def add_gpu(
    body: bodies.AddGPU, service: PlatformService, account: Account
) -> answers.OneSessionAnswer:
    """Add GPUs to a running session, at once and at today's price."""
    session = await service.store.run(sessions.find, account, body.session_id)
    _require(session, "running")
    gpus = check_gpus(service.catalogue, [(body.gpu_type, body.gpu_count)])
    if any(slot.device for slot in service.catalogue.slots if slot.slug in gpus):
        raise UnsupportedError(
            "A running session cannot see another real GPU; "
            "stop it and create one with as many GPUs as you need."
        )
    await service.lifecycle.add_gpus(session, gpus)
    return _one(await service.store.run(sessions.load, session.id), service)


@router.post("/generate-key/")
async def generate_key(
    body: bodies.GenerateKey, service: PlatformService, account: Account
) -> answers.KeyAnswer:
    """Make a key for the session's code-editor API; it ends with the session."""
    now = service.clock.now()
    key = await service.store.run(_issue_key, account, body, now)
    return answers.KeyAnswer(api_key=key)


@router.post("/pause/", status_code=501, responses=REFUSALS)
async def pause(
    body: bodies.PauseSession, service: PlatformService, account: Account
) -> answers.Refusal:
    """Not on this platform."""
    raise UnsupportedError("This platform cannot pause a session; stop it to end its cost.")


def _request(body: bodies.CreateSession, service: Service) -> SessionRequest:
    if body.environment_id:
        raise UnsupportedError(
            "This platform keeps no environments; leave environment_id out for a fresh session."
        )
    if body.cluster_id not in (None, "", CLUSTER_ID):
        raise InvalidRequestError(
            f"There is no cluster {body.cluster_id!r}; leave it out, or use {CLUSTER_ID!r}."
        )
    if body.gpus:
        asked = [(wish.type, wish.count) for wish in body.gpus]
    elif body.gpu_type:
        asked = [(body.gpu_type, body.gpu_count)]
    else:
        raise InvalidRequestError(
            f"No GPU was asked for; give gpu_type or gpus, of {', '.join(service.catalogue.types)}."
        )
    return SessionRequest(
        gpus=check_gpus(service.catalogue, asked),
        vcpu=body.vcpu,
        ram=body.ram,
        storage=body.storage,
        allow_partial=body.allow_partial,
        cost_limit=None if body.cost_limit is None else to_micro(body.cost_limit),
        duration_limit=body.duration_limit,
        extra_config=body.extra_config or {},
    )


def _queued(
    connection: Connection, outcome: Outcome, application: Application
) -> answers.CreatedAnswer:
    position = tickets.positions(connection).get(outcome.ticket_id or "", 0)
    missing = outcome.unavailable_gpus
    return answers.CreatedAnswer(
        success=True,
        queued=True,
        queue_id=outcome.ticket_id or "",
        position=position,
        message=f"Not enough GPUs are available now ({', '.join(missing)}); "
        f"your request waits in the queue at position {position}.",
        unavailable_gpus=missing,
        available_gpus=[slug for slug in application.request.gpus if slug not in missing],
    )


def _issue_key(connection: Connection, account: str, body: bodies.GenerateKey, now: Any) -> str:
    session = sessions.find(connection, account, body.session_id)
    _require(session, "pending", "creating", "running")
    return keys.issue(connection, account, session.id, body.name or "SDK key", now)


def _require(session: sessions.Session, *statuses: str) -> None:
    if session.status not in statuses:
        raise SessionStateError(
            f"Session {session.row.name} ({session.id[:8]}) is {session.status}, not running; "
            "wait until it runs, or create a new one."
            if session.status in ("pending", "creating")
            else f"Session {session.row.name} ({session.id[:8]}) is {session.status}; "
            "create a new one."
        )


def _one(session: sessions.Session, service: Service) -> answers.OneSessionAnswer:
    return answers.OneSessionAnswer(success=True, session=_view(session, service))


def _view(session: sessions.Session, service: Service) -> answers.SessionAnswer:
    return views.session_answer(session, service.settings, service.clock.now())
