"""Turns every exception of a request into the error envelope."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import OperationalError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from clouditia_jupyter.errors import (
    BY_STATUS,
    APIError,
    InvalidRequestError,
    NotFoundError,
    ServiceUnavailableError,
)
from clouditia_jupyter.platform.envelope import envelope

logger = logging.getLogger(__name__)

_LONGEST_ECHO = 40


async def _refused(request: Request, error: APIError) -> JSONResponse:
    answer = envelope(error)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    return envelope(InvalidRequestError(" ".join(_sentence(item) for item in error.errors()[:3])))


async def _http(request: Request, error: HTTPException) -> JSONResponse:
    if error.status_code == 404:
        return envelope(
            NotFoundError(
                f"Nothing is at {request.url.path[:200]}; "
                "see /openapi.json for what there is, and mind the slash at the end."
            )
        )
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        answer = envelope(
            APIError(
                f"{request.url.path[:200]} does not answer {request.method}; use {allowed}.",
                status=405,
            )
        )
        answer.headers["Allow"] = allowed
        return answer
    kind = BY_STATUS.get(error.status_code, APIError)
    return envelope(
        kind(f"The request was refused: {error.detail}; mend it.", status=error.status_code)
    )


async def _no_database(request: Request, error: OperationalError) -> JSONResponse:
    logger.error("the database fails", exc_info=error)
    return envelope(
        ServiceUnavailableError(
            f"The platform's database cannot be used ({error.orig}); "
            "see to its disk or its server, then try again."
        )
    )


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    return envelope(
        APIError(
            "The platform failed at this request; its log, platform.log in the state folder, "
            "says why.",
            status=500,
        )
    )


def _sentence(item: dict[str, Any]) -> str:
    """Return what is wrong with one field, and what to send instead."""
    context = item.get("ctx") or {}
    place = [str(part) for part in item["loc"] if part not in ("body", "query", "header", "path")]
    name = ".".join(place) or "The body"
    kind = item["type"]
    if kind == "json_invalid":
        return "The body is no JSON; send a JSON object."
    if kind == "missing":
        return f"{name} is missing; send it."
    given = item.get("input")
    shown = ""
    if isinstance(given, (int, float, str)):
        shown = (
            f", not {str(given)[:_LONGEST_ECHO]!r}" if isinstance(given, str) else f", not {given}"
        )
    bounds = {
        "greater_than": f"must be more than {context.get('gt')}",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
        "string_too_short": "must not be empty",
        "string_too_long": f"must be at most {context.get('max_length')} characters long",
        "extra_forbidden": "is not a field that this call knows",
    }
    if kind == "value_error":
        return f"{name}: {context.get('error', item['msg'])}"
    rule = bounds.get(kind)
    if rule is None:
        message = str(item["msg"]).removeprefix("Input ").removeprefix("Value ")
        rule = message[0].lower() + message[1:]
    if kind == "string_too_long":
        shown = ""
    return f"{name} {rule}{shown}; change it and try again."


#: What the app is constructed with.
HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    APIError: _refused,
    RequestValidationError: _invalid,
    HTTPException: _http,
    OperationalError: _no_database,
    Exception: _unexpected,
}
