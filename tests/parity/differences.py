"""The cells that come out otherwise in a session, each with its reason."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.parity.fold import Folded

_FILE = Path(__file__).with_suffix(".json")
_LINES_SHOWN = 40


def explained(path: str, notebook: str) -> dict[str, str]:
    """Return the reasons by cell title.

    Parameters
    ----------
    path
        ``pod`` or ``agent``; the file gives both what stands under ``both``.
    """
    reasons = json.loads(_FILE.read_text(encoding="utf-8"))
    named = {**reasons["both"], **reasons[path]}
    begin = f"{notebook}: "
    return {name.removeprefix(begin): why for name, why in named.items() if name.startswith(begin)}


def all_names() -> set[str]:
    """Return the names of all cells that the file explains."""
    return {
        name for part in json.loads(_FILE.read_text(encoding="utf-8")).values() for name in part
    }


def told(local: Folded, remote: Folded) -> str:
    """Return a difference as lines to read."""
    sides = [
        json.dumps(side, indent=1, ensure_ascii=False).replace("\\n", "\n").splitlines()
        for side in (local, remote)
    ]
    lines = list(difflib.unified_diff(*sides, "local", "remote", lineterm="", n=1))
    return "\n".join(line[:200] for line in lines[:_LINES_SHOWN])
