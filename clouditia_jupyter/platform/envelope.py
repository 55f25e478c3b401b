"""The one error envelope of both APIs and of the pods."""

from __future__ import annotations

from starlette.responses import JSONResponse

from clouditia_jupyter.errors import APIError


def envelope(error: APIError) -> JSONResponse:
    """Return the answer that makes the same exception again in the client."""
    body = {**error.details, "success": False, "error": str(error), "code": error.code}
    return JSONResponse(body, status_code=error.status)
