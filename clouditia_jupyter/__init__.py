"""Rent a GPU from a notebook and run cells on it as if they were local.

``%load_ext clouditia_jupyter`` adds the magics ``%clouditia`` and ``%%clouditia_run``. The same
things are there in plain Python: :class:`GPUManager` for the account, :class:`LiveSession` for
one session. Names load when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.client.manager import GPUManager
    from clouditia_jupyter.client.results import RunResult, ShellResult
    from clouditia_jupyter.errors import (
        AmbiguousIdError,
        APIError,
        AuthenticationError,
        ClouditiaError,
        CommandBlockedError,
        ConfigurationError,
        ConnectionFailedError,
        InsufficientCreditError,
        InsufficientResourcesError,
        InvalidRequestError,
        JobNotFoundError,
        NotFoundError,
        PermissionDeniedError,
        QueueJobNotFoundError,
        RemoteError,
        RemoteErrors,
        RequestTimeoutError,
        ServiceUnavailableError,
        SessionLostError,
        SessionNotFoundError,
        SessionStateError,
        UnsupportedError,
        ValueTransferError,
        WaitTimeoutError,
    )
    from clouditia_jupyter.models import (
        Cluster,
        GPUInventory,
        GPUSession,
        QueueAttempt,
        QueueJob,
    )
    from clouditia_jupyter.notebook.extension import (
        load_ipython_extension,
        unload_ipython_extension,
    )
    from clouditia_jupyter.notebook.panel.panel import panel

#: Where each public name lives; the names that are not here are errors.
_HOMES = {
    "Cluster": "models",
    "GPUInventory": "models",
    "GPUManager": "client.manager",
    "GPUSession": "models",
    "LiveSession": "client.live",
    "QueueAttempt": "models",
    "QueueJob": "models",
    "RunResult": "client.results",
    "ShellResult": "client.results",
    "load_ipython_extension": "notebook.extension",
    "panel": "notebook.panel.panel",
    "unload_ipython_extension": "notebook.extension",
}

#: Where names live that a notebook shows as cards, or that return such.
_SHOWN = ("models", "client.manager")

__all__ = [
    "APIError",
    "AmbiguousIdError",
    "AuthenticationError",
    "ClouditiaError",
    "Cluster",
    "CommandBlockedError",
    "ConfigurationError",
    "ConnectionFailedError",
    "GPUInventory",
    "GPUManager",
    "GPUSession",
    "InsufficientCreditError",
    "InsufficientResourcesError",
    "InvalidRequestError",
    "JobNotFoundError",
    "LiveSession",
    "NotFoundError",
    "PermissionDeniedError",
    "QueueAttempt",
    "QueueJob",
    "QueueJobNotFoundError",
    "RemoteError",
    "RemoteErrors",
    "RequestTimeoutError",
    "RunResult",
    "ServiceUnavailableError",
    "SessionLostError",
    "SessionNotFoundError",
    "SessionStateError",
    "ShellResult",
    "UnsupportedError",
    "ValueTransferError",
    "WaitTimeoutError",
    "__version__",
    "load_ipython_extension",
    "panel",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOMES.get(name, "errors")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    if home in _SHOWN:
        import_module(f"{__name__}.notebook.cards")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
