"""Packs the agent into one zip file, which Python can run and import from."""

from __future__ import annotations

import ast
import hashlib
import io
import zipfile
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_PACKAGE = "clouditia_agent"
_OURS = "clouditia_jupyter.client.agent.remote"
#: Of the rest of the package, the agent needs the error of values, how names are looked up, which
#: errors are failures, and the formats of values; it hands nothing over in memory.
_SHARED = ("namespace", "failures")
_VALUES = "clouditia_jupyter.values"
_NOT_NEEDED = "handover.py"
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
    for package, folder in ((_OURS, _PACKAGE), (_VALUES, f"{_PACKAGE}/values")):
        for module in files(package).iterdir():
            if module.name.endswith(".py") and module.name != _NOT_NEEDED:
                sources[f"{folder}/{module.name}"] = _renamed(module.read_text(encoding="utf-8"))
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
    """Return a module's source, short, with its imports of this package turned to its own."""
    return (
        _undocumented(source)
        .replace(f"from {_OURS}", f"from {_PACKAGE}")
        .replace("from clouditia_jupyter.errors import", f"from {_PACKAGE}.errors import")
        .replace(f"from {_VALUES}", f"from {_PACKAGE}.values")
        .replace("from clouditia_jupyter import", f"from {_PACKAGE} import")
        .replace("from clouditia_jupyter.failures import", f"from {_PACKAGE}.failures import")
    )


def _undocumented(source: str) -> str:
    """Return a module's source without its docstrings: a third of what would be sent."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
            text = node.body[0]
            assert text.end_lineno is not None
            rest = " " * text.col_offset + ("pass" if len(node.body) == 1 else "")
            lines[text.lineno - 1 : text.end_lineno] = [rest] + [""] * (
                text.end_lineno - text.lineno
            )
    return "\n".join(lines) + "\n"
