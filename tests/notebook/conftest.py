"""A real IPython to run cells in, which raises where it would print."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterator


class Shell:
    """Runs cells as a user would, and raises what they raise.

    Attributes
    ----------
    ip
        The IPython inside.
    """

    def __init__(self) -> None:
        self.ip = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
        # the traceback would only be noise beside the one that pytest shows
        self.ip.showtraceback = lambda *_args, **_kwargs: None

    def run(self, code: str) -> Any:
        """Return the value of the last expression of a cell, or raise its exception."""
        result = self.ip.run_cell(code)
        result.raise_error()
        return result.result

    @property
    def names(self) -> dict[str, Any]:
        """The user's variables."""
        return dict(self.ip.user_ns)


@pytest.fixture
def bare_shell() -> Iterator[Shell]:
    """Return a shell without the extension."""
    shell = Shell()
    try:
        yield shell
    finally:
        shell.ip.extension_manager.unload_extension("clouditia_jupyter")
        atexit.unregister(shell.ip.atexit_operations)
        shell.ip.atexit_operations()


@pytest.fixture
def shell(bare_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Return a shell with the extension loaded, and nothing configured."""
    for name in ("API_KEY", "BASE_URL", "EDITOR_URL", "STATE"):
        monkeypatch.delenv(f"CLOUDITIA_{name}", raising=False)
    bare_shell.run("%load_ext clouditia_jupyter")
    return bare_shell
