"""Keys and addresses: where they come from, and what is wrong with one that cannot be used."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from clouditia_jupyter.config import DEFAULT_BASE_URL, DEFAULT_EDITOR_URL
from clouditia_jupyter.errors import AuthenticationError, ConfigurationError

_VISIBLE = re.compile(r"[!-~]+")


def account_key(given: str | None) -> str:
    """Return the ``sk_compute_`` key to use: the one given, else ``CLOUDITIA_API_KEY``.

    Raises
    ------
    ConfigurationError
        If there is none.
    AuthenticationError
        If it cannot be an account key.
    """
    key = (given if given is not None else os.environ.get("CLOUDITIA_API_KEY", "")).strip()
    if not key:
        raise ConfigurationError(
            "There is no account key: pass api_key='sk_compute_…' or set CLOUDITIA_API_KEY."
        )
    if key.startswith(("sk_live_", "ck_")):
        raise AuthenticationError(
            "This is the key of one session; GPUManager needs an account key (sk_compute_…). "
            "Use LiveSession with this one."
        )
    return _checked(key, ("sk_compute_",), "an account key begins with sk_compute_")


def session_key(given: str) -> str:
    """Return the ``sk_live_`` or ``ck_`` key of one session.

    Raises
    ------
    AuthenticationError
        If it cannot be a session key.
    """
    key = (given or "").strip()
    if key.startswith("sk_compute_"):
        raise AuthenticationError(
            "This is an account key; LiveSession needs a session's key (sk_live_…). "
            "GPUManager.generate_sdk_key(session_id) makes one."
        )
    return _checked(key, ("sk_live_", "ck_"), "a session's key begins with sk_live_ or ck_")


def _checked(key: str, prefixes: tuple[str, ...], rule: str) -> str:
    # the key itself stays out of the message: messages are saved in notebooks
    if not key.startswith(prefixes) or key in prefixes or not _VISIBLE.fullmatch(key):
        raise AuthenticationError(f"The key is malformed: {rule}. Copy it again, whole.")
    return key


def computing_url(given: str | None) -> str:
    """Return the computing API's base URL: given, ``CLOUDITIA_BASE_URL``, else clouditia.com."""
    return _address(given or os.environ.get("CLOUDITIA_BASE_URL") or DEFAULT_BASE_URL)


def editor_url(given: str | None) -> str:
    """Return the code-editor API's base URL: given, ``CLOUDITIA_EDITOR_URL``, else the stock's."""
    return _address(given or os.environ.get("CLOUDITIA_EDITOR_URL") or DEFAULT_EDITOR_URL)


def _address(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise ConfigurationError(
            f"{url!r} is no base URL of a service: give one like {DEFAULT_BASE_URL}."
        )
    return url.strip().rstrip("/")


def is_loopback(url: str) -> bool:
    """Return whether ``url`` names this machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
