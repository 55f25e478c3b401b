"""Where our own words leave: every sentence that the extension shows goes through here.

Plain text but for cards and the footer, which escape what the server sent.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def say(text: str) -> None:
    """Write one line or more for the user to read."""
    sys.stdout.write(f"{text}\n")


def has_front_end(shell: InteractiveShell) -> bool:
    """Return whether outputs go to a notebook, which can change them later."""
    return getattr(shell, "kernel", None) is not None


def can_ask(shell: InteractiveShell) -> bool:
    """Return whether a question would reach a person: not under nbclient, papermill or a pipe."""
    kernel = getattr(shell, "kernel", None)
    if kernel is not None:
        return bool(getattr(kernel, "_allow_stdin", False))
    return sys.stdin is not None and sys.stdin.isatty()


def confirmed(question: str) -> bool:
    """Ask a question whose answer is no unless the user says yes; where one :func:`can_ask`."""
    sys.stdout.flush()
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


class UpdatingLine:
    """One line that says how far something is: replaced in a notebook, repeated in a terminal."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._transient: dict[str, Any] = {"display_id": os.urandom(16).hex()}
        self._text: str | None = None

    def show(self, text: str) -> None:
        """Show ``text`` instead of what was there."""
        if text == self._text:
            return
        if has_front_end(self._shell):
            self._shell.display_pub.publish(
                data={"text/plain": text},
                metadata={},
                transient=self._transient,
                update=self._text is not None,
            )
        else:
            say(text)
        self._text = text


def display(shell: InteractiveShell, text: str, html: str) -> None:
    """Show ``html`` where it can be shown, ``text`` in a terminal."""
    if has_front_end(shell):
        sys.stdout.flush()
        shell.display_pub.publish(data={"text/plain": text, "text/html": html}, metadata={})
    else:
        say(text)


def footnote(shell: InteractiveShell, text: str) -> None:
    """Show one grey line below a cell's own outputs."""
    from html import escape

    grey = f'<small style="opacity: 0.6">{escape(text)}</small>'
    shell.display_pub.publish(data={"text/plain": text, "text/html": grey}, metadata={})
