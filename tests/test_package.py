"""The package from outside: its public names, and the arrows between its parts."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import clouditia_jupyter
from clouditia_jupyter import errors

ROOT = Path(clouditia_jupyter.__file__).parent

PUBLIC_NAMES = [
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

#: What each part may import of the package, besides itself.
ARROWS = {
    "errors": set(),
    "models": {"errors"},
    "values": {"errors"},
    "namespace": set(),
    "config": {"errors"},
    "client": {"errors", "models", "config", "values", "namespace", ""},
    "notebook": {"client", "errors", "models", "config"},
    "platform": {"errors", "models", "values", "namespace", ""},
    # the front door
    "": {"client", "errors", "models", "notebook"},
}


def test_the_public_names_are_these() -> None:
    assert sorted(clouditia_jupyter.__all__) == sorted(PUBLIC_NAMES)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(clouditia_jupyter, name) is not None
    assert name in dir(clouditia_jupyter)


def test_every_error_is_public() -> None:
    classes = {
        name
        for name, item in vars(errors).items()
        if isinstance(item, type) and issubclass(item, errors.ClouditiaError)
    }
    assert classes <= set(clouditia_jupyter.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="GPUManagre"):
        _ = clouditia_jupyter.GPUManagre


def test_importing_the_package_imports_nothing_else_of_it() -> None:
    code = "import sys, clouditia_jupyter; print([m for m in sys.modules if 'clouditia_' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['clouditia_jupyter']"


def _part(module: str) -> str:
    """Return the part that a dotted name inside the package belongs to."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ARROWS else ""


def _imports(path: Path) -> set[str]:
    """Return the parts of the package that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            # "from clouditia_jupyter import errors" imports the part errors
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {_part(name) for name in found if name.split(".")[0] == "clouditia_jupyter"}


@pytest.mark.parametrize(
    "path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_import_goes_against_the_arrows(path: Path) -> None:
    inside = path.relative_to(ROOT).with_suffix("").parts
    own = inside[0] if inside[0] in ARROWS else ""
    assert _imports(path) - {own} <= ARROWS[own]
