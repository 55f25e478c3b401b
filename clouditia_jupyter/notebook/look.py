"""The look that cards and the panel share, and the one way by which text of others gets into HTML.

``look.css`` knows the front ends' own colours and fonts, light and dark, and lays things out by the
width that they have. Everything of it is inside an element of the class ``clouditia``.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

#: The style sheet's text, for a ``<style>`` element.
STYLE = (Path(__file__).with_name("look.css")).read_text(encoding="utf-8")


def escaped(text: Any) -> str:
    """Return ``text`` as HTML that shows it, in an element or in a quoted attribute."""
    return escape(str(text), quote=True)


def link(url: str) -> str:
    """Return a link to a web page, in a tab of its own; anything but http(s) stays text."""
    shown = escaped(url)
    if not url.lower().startswith(("http://", "https://")):
        return shown
    return f'<a href="{shown}" target="_blank" rel="noopener noreferrer">{shown}</a>'


def status(word: str, more: str = "") -> str:
    """Return a status with its dot, and ``more`` behind it."""
    shown = escaped(f"{word} · {more}" if more else word)
    return f'<span class="clouditia-status" data-status="{escaped(word)}">{shown}</span>'
