"""Packs the agent into one zip file, which Python can run and import from."""

from __future__ import annotations

import hashlib
import io
import zipfile
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_PACKAGE = "clouditia_agent"
_OURS = "clouditia_jupyter.client.agent.remote"
#: Of the rest of the package, the agent needs the formats of values, and the error they raise, how
#: names are looked up, and which errors are failures.
_SHARED = ("values", "namespace", "failures")
_ERRORS = '''"""The error of values."""


class ValueTransferError(Exception):
    """A variable that cannot be sent or fetched."""
'''
_MAIN = f"from {_PACKAGE}.entry import main\n\nmain()\n"
#: A fixed moment, so that the same sources make the same bytes.
_MOMENT = (2020, 1, 1, 0, 0, 0)


class Bundle(NamedTuple):
    """The packed agent, and a name that changes with its content."""

    data: bytes
    name: str


@cache
def bundle() -> Bundle:
    """Return the agent of this version of the package."""
    sources = {"__main__.py": _MAIN, f"{_PACKAGE}/errors.py": _ERRORS}
    for module in files(_OURS).iterdir():
        if module.name.endswith(".py"):
            sources[f"{_PACKAGE}/{module.name}"] = _renamed(module.read_text(encoding="utf-8"))
    for name in _SHARED:
        source = files("clouditia_jupyter").joinpath(f"{name}.py").read_text(encoding="utf-8")
        sources[f"{_PACKAGE}/{name}.py"] = _renamed(source)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(sources):
            archive.writestr(zipfile.ZipInfo(path, _MOMENT), sources[path], zipfile.ZIP_DEFLATED)
    data = packed.getvalue()
    return Bundle(data, f"agent-{hashlib.sha256(data).hexdigest()[:16]}.zip")


def _renamed(source: str) -> str:
    """Return a module's source with its imports of this package turned to the agent's own."""
    return (
        source.replace(f"from {_OURS}", f"from {_PACKAGE}")
        .replace("from clouditia_jupyter.errors import", f"from {_PACKAGE}.errors import")
        .replace("from clouditia_jupyter import", f"from {_PACKAGE} import")
        .replace("from clouditia_jupyter.failures import", f"from {_PACKAGE}.failures import")
    )
