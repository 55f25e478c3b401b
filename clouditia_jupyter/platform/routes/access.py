"""Who is asking: the account or the session that a request's key belongs to."""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Connection

from clouditia_jupyter.errors import AuthenticationError
from clouditia_jupyter.platform import keys, sessions
from clouditia_jupyter.platform.key_format import ACCOUNT_PREFIX, SESSION_PREFIXES
from clouditia_jupyter.platform.service import Service

#: Of the computing API.
PREFIX = "/jobs/api/computing"

_account_key = HTTPBearer(auto_error=False, scheme_name="AccountKey", bearerFormat="sk_compute_…")
_session_key = HTTPBearer(auto_error=False, scheme_name="SessionKey", bearerFormat="sk_live_…")

# by reference: a model here would be built again for every route, a fifth of the start
_REFUSAL = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}
#: What OpenAPI says of refusals, on every route.
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"content": _REFUSAL, "description": "Refused: the request, or the state of things"},
    401: {"content": _REFUSAL, "description": "The key is missing, unknown or revoked"},
    404: {"content": _REFUSAL, "description": "Nothing has this id"},
    "default": {"content": _REFUSAL, "description": "Any other refusal"},
}


async def service_of(request: Request) -> Service:  # FastAPI would give a plain one a thread
    """Return the platform that serves the request."""
    service: Service = request.app.state.service
    return service


PlatformService = Annotated[Service, Depends(service_of)]


async def account_of(
    service: PlatformService,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_account_key)],
) -> str:
    """Return the id of the account whose key came with the request."""
    key = _key(credentials, (ACCOUNT_PREFIX,), "an account key, sk_compute_…")
    return (await service.store.run(keys.owner, key)).account_id


async def session_of(
    service: PlatformService,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_session_key)],
) -> sessions.Session:
    """Return the session whose key came with the request."""
    key = _key(credentials, SESSION_PREFIXES, "a session's key, sk_live_…")
    return await service.store.run(_session, key)


Account = Annotated[str, Depends(account_of)]
KeySession = Annotated[sessions.Session, Depends(session_of)]


def _session(connection: Connection, key: str) -> sessions.Session:
    session_id = keys.owner(connection, key).session_id
    assert session_id is not None, "only a session's keys have the prefix"
    return sessions.load(connection, session_id)


def _key(
    credentials: HTTPAuthorizationCredentials | None, prefixes: tuple[str, ...], wanted: str
) -> str:
    if credentials is None:
        raise AuthenticationError(
            f"The request carries no key; send {wanted}, as Authorization: Bearer KEY."
        )
    key = credentials.credentials
    if not key.startswith(prefixes) or not key.isascii():
        raise AuthenticationError(f"This is no key for this API; send {wanted}.")
    return key
