"""What an answer means: its JSON object, or the exception that it stands for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from clouditia_jupyter.errors import (
    BY_CODE,
    BY_STATUS,
    APIError,
    CommandBlockedError,
    InsufficientResourcesError,
    NotFoundError,
    ServiceUnavailableError,
)

_PAGE = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html)", re.IGNORECASE)
_NOT_FOUND = re.compile(r"not found|non trouv|introuvable", re.IGNORECASE)
_ENVELOPE = frozenset({"success", "error", "code", "message", "detail"})
_DEFAULT_SENTENCE = {
    401: "The key is not accepted: it is wrong, expired or revoked. Make a new one and try again.",
    403: "The service denies this to the key in use; check which account or session it is for.",
    404: "Nothing on the service has this id, or the address is wrong.",
    429: "The service asks to slow down; try again in a minute.",
}


def decode_object(
    status: int, body: bytes, *, missing: type[NotFoundError] = NotFoundError
) -> dict[str, Any]:
    """Return the JSON object of an answer, be it ``success: false``.

    Parameters
    ----------
    status
        HTTP status.
    body
        The whole body.
    missing
        The class of a 404 that does not say itself what is missing.

    Raises
    ------
    APIError
        If the status is no, or there is no JSON object.
    """
    if _PAGE.match(body):
        if status in (401, 403, 404):
            raise _by_status(status, missing)(_sentence(status), status=status)
        raise ServiceUnavailableError(
            f"The service sent a web page instead of an answer (HTTP {status}): it is restarting, "
            "or the address is not that of its API. Try again in a minute, or check the address.",
            status=status,
        )
    try:
        data = json.loads(body)
    except ValueError:
        data = None
    if isinstance(data, dict):
        if status >= 400:
            raise error_from(status, data, missing=missing)
        return data
    if status >= 400:
        raise _by_status(status, missing)(_sentence(status), status=status)
    raise APIError(
        f"The service answered HTTP {status} without a JSON object; check the address.",
        status=status,
    )


def decode_answer(
    status: int, body: bytes, *, missing: type[NotFoundError] = NotFoundError
) -> dict[str, Any]:
    """Return the JSON object of an answer that says yes.

    Raises
    ------
    APIError
        Of the class that the answer's ``code``, else its status, stands for.
    """
    data = decode_object(status, body, missing=missing)
    if _says_no(data):
        raise error_from(status, data, missing=missing)
    return data


def _says_no(data: Mapping[str, Any]) -> bool:
    return data.get("success") is False and not data.get("queued")


def error_from(
    status: int, data: Mapping[str, Any], *, missing: type[NotFoundError] = NotFoundError
) -> APIError:
    """Return the exception that an answer which says no stands for."""
    text = str(data.get("error") or data.get("message") or data.get("detail") or "").strip()
    details = {key: value for key, value in data.items() if key not in _ENVELOPE}
    cls = BY_CODE.get(str(data.get("code")))
    if cls is None:
        cls = _without_code(status, text, data, missing)
    reason = str(data.get("reason") or "")
    if issubclass(cls, CommandBlockedError) and reason not in text:
        text = f"{text} ({reason})" if text else f"The service blocks this command ({reason})."
    return cls(text or _sentence(status), status=status if status >= 400 else None, details=details)


def _without_code(
    status: int, text: str, data: Mapping[str, Any], missing: type[NotFoundError]
) -> type[APIError]:
    """Return the class for an answer of the stock service, which sends no ``code``."""
    if data.get("unavailable_gpus"):
        return InsufficientResourcesError
    if status == 403 and (data.get("reason") or data.get("blocked") or data.get("blacklist")):
        return CommandBlockedError
    # 200 or 400 with "not found" in the sentence is how it says so on some calls
    if status in (200, 400, 404) and (status == 404 or _NOT_FOUND.search(text)):
        return missing
    return _by_status(status, missing)


def _by_status(status: int, missing: type[NotFoundError]) -> type[APIError]:
    if status == 404:
        return missing
    if status == 429:
        return ServiceUnavailableError
    return BY_STATUS.get(status, APIError)


def _sentence(status: int) -> str:
    known = _DEFAULT_SENTENCE.get(status)
    if known:
        return known
    if status in (502, 503, 504):
        return f"The service is restarting or overloaded (HTTP {status}); try again in a minute."
    return f"The service answered HTTP {status} without saying why; try again, or report it."
