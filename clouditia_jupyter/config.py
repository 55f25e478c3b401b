"""Settings: where the platform is, and where keys come from.

A key is never a trait: ``%config`` prints traits. It comes from the environment
(``CLOUDITIA_API_KEY``), or from the file that the local platform keeps for its own user.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from traitlets import Bool, Float, Unicode
from traitlets.config import Configurable

from clouditia_jupyter.errors import ConfigurationError

DEFAULT_BASE_URL = "https://clouditia.com/jobs"
DEFAULT_EDITOR_URL = "https://clouditia.com/code-editor"


@dataclass(frozen=True)
class Service:
    """One platform and the account key for it.

    Attributes
    ----------
    computing_url, editor_url
        Base URLs of the two APIs.
    api_key
        The ``sk_compute_`` key. Not part of the repr.
    local
        Whether it is the platform that this package runs on this machine.
    """

    computing_url: str
    editor_url: str
    api_key: str = field(repr=False)
    local: bool = False

    @classmethod
    def from_ready(cls, ready: dict[str, Any]) -> Service:
        """Return the service that the local platform's ready line describes."""
        return cls(
            computing_url=str(ready["computing_url"]),
            editor_url=str(ready["code_editor_url"]),
            api_key=str(ready["api_key"]),
            local=True,
        )


class Settings(Configurable):
    """What a user may set, by trait (``%config``) or by environment variable."""

    base_url = Unicode(
        help="Base URL of the computing API. Empty: CLOUDITIA_BASE_URL, else clouditia.com "
        "where CLOUDITIA_API_KEY is set, else the local platform."
    ).tag(config=True)
    editor_url = Unicode(
        help="Base URL of the code-editor API. Empty: CLOUDITIA_EDITOR_URL, else the one "
        "beside base_url."
    ).tag(config=True)
    state = Unicode(
        help="State folder of the local platform. Empty: CLOUDITIA_STATE, else the user's "
        "state folder."
    ).tag(config=True)
    timeout = Float(60.0, help="Seconds that one request may take.").tag(config=True)
    auto_limit = Float(
        100.0,
        help="Megabytes above which --auto does not send a variable without being told to.",
    ).tag(config=True)
    footer = Bool(
        True,
        help="Whether a remote cell ends with a line that gives its duration and cost.",
    ).tag(config=True)

    def state_folder(self) -> Path:
        """Return the state folder of the local platform; it need not exist."""
        named = self.state or os.environ.get("CLOUDITIA_STATE")
        if named:
            return Path(named).expanduser().absolute()
        from platformdirs import user_state_path

        return user_state_path("clouditia_jupyter", appauthor=False)

    def remote_service(self) -> Service | None:
        """Return the service that settings name; None means the local platform.

        Raises
        ------
        ConfigurationError
            If an address is set and no key for it.
        """
        base = (self.base_url or os.environ.get("CLOUDITIA_BASE_URL") or "").rstrip("/")
        key = os.environ.get("CLOUDITIA_API_KEY", "").strip()
        if not key:
            if base:
                raise ConfigurationError(
                    f"The address {base} is set but no key for it: set CLOUDITIA_API_KEY to your "
                    "sk_compute_ key, or unset the address to use the platform on this machine."
                )
            return None
        editor = self.editor_url or os.environ.get("CLOUDITIA_EDITOR_URL") or beside(base)
        return Service(base or DEFAULT_BASE_URL, editor.rstrip("/"), key)


def beside(base_url: str) -> str:
    """Return the code-editor URL that goes with a computing URL.

    A session's key must not be offered to another host than the one that made it, so only an
    empty ``base_url`` means clouditia.com.
    """
    if not base_url:
        return DEFAULT_EDITOR_URL
    return base_url.removesuffix("/jobs") + "/code-editor"
