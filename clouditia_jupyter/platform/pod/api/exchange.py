"""What every call does: read a body, read a number, answer."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from clouditia_jupyter.errors import InvalidRequestError


def ok(**fields: Any) -> JSONResponse:
    """Return the answer of a call that worked."""
    return JSONResponse({"success": True, **fields})


async def read_json(request: Request) -> dict[str, Any]:
    """Return the body, a JSON object."""
    try:
        body = json.loads(await request.body() or b"{}")
    except ValueError:
        raise InvalidRequestError("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise InvalidRequestError("The body is not a JSON object.")
    return body


def query_number(request: Request, name: str, default: int) -> int:
    """Return a query parameter that is a count."""
    text = request.query_params.get(name, str(default))
    try:
        return max(int(text), 0)
    except ValueError:
        raise InvalidRequestError(f"{name} is a whole number, not {text!r}.") from None
