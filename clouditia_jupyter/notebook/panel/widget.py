"""The widget itself: its parts as JSON texts, and the page's code that shows them.

Each part is one trait. It is sent when its text has changed, and not otherwise; nothing that the
page does comes back as a trait, only as a message.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anywidget
from traitlets import Unicode

from clouditia_jupyter.notebook.look import STYLE

_FRONT = Path(__file__).with_name("front")
#: In the order in which they use each other; together they are one module.
_SCRIPTS = ("dom", "words", "account", "form", "sessions", "tables", "panel")


def _part(value: Any) -> Any:
    return Unicode(as_text(value)).tag(sync=True)


def as_text(value: Any) -> str:
    """Return the one way in which a value is written, so that equal ones are equal texts."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class PanelWidget(anywidget.AnyWidget):
    """What the page shows.

    Attributes
    ----------
    place
        Where the data comes from, and what can be done there.
    account, sessions, offer, costs, queue, runs
        The parts of an overview; see :mod:`~clouditia_jupyter.notebook.panel.view`.
    charts, spending
        Drawings, by session; and those of money over time.
    creation
        How far the session is that was asked for here.
    trouble
        What is wrong, and since when the data is old; null while all is well.
    news
        The last thing that happened by itself.
    """

    _esm = "\n".join((_FRONT / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)
    _css = f"{STYLE}\n{(_FRONT / 'panel.css').read_text(encoding='utf-8')}"

    place = _part(None)
    account = _part(None)
    sessions = _part([])
    offer = _part([])
    costs = _part([])
    queue = _part([])
    runs = _part([])
    charts = _part({})
    spending = _part(None)
    creation = _part(None)
    trouble = _part(None)
    news = _part(None)

    def show(self, part: str, value: Any) -> bool:
        """Show ``value`` in a part; return whether that is news."""
        text = as_text(value)
        if getattr(self, part) == text:
            return False
        setattr(self, part, text)
        return True
