"""What a key looks like."""

from __future__ import annotations

import secrets

ACCOUNT_PREFIX = "sk_compute_"
SESSION_PREFIXES = ("sk_live_", "ck_")


def new_key(prefix: str) -> str:
    """Return a fresh random key."""
    return prefix + secrets.token_urlsafe(32)
