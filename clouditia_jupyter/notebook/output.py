"""Where our own words leave: every sentence that the extension shows goes through here.

Plain text but for the footer, which escapes what the server sent.
"""

from __future__ import annotations

import sys
from html import escape
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from clouditia_jupyter.models import format_duration, gigabytes

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.models import GPUSession


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
        self._transient: dict[str, Any] = {"display_id": uuid4().hex}
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


def money(value: float | None, currency: str = "EUR") -> str:
    """Return an amount to read: cents, or four digits where cents would say nothing."""
    if value is None:
        return f"? {currency}"
    return f"{value:.2f} {currency}" if value >= 1 or value == 0 else f"{value:.4f} {currency}"


def described(session: GPUSession, *, head: bool = True) -> str:
    """Return what there is to know of a session, in a few lines; not its password."""
    gpus = [f"{gpu.get('quantity', 1)} x {gpu.get('slug', '?')}" for gpu in session.gpus]
    rows = {
        "Id": session.id,
        "GPU": ", ".join(gpus) or f"{session.gpu_count} x {session.gpu_type}",
        "Machine": f"{session.vcpu} vCPU, {_gb(session.ram)} memory, {_gb(session.storage)} disk",
        "Cost": _cost(session),
        "Limits": _limits(session),
        "Page": session.url,
        "Failed": session.creation_error,
        "Stopped": session.stop_reason,
    }
    if head:
        step = f" ({session.creation_step})" if session.status in ("pending", "creating") else ""
        rows = {"Session": session.name, "Status": f"{session.status}{step}", **rows}
    return "\n".join(f"  {name:<8}  {value}" for name, value in rows.items() if value)


def _gb(size: str) -> str:
    number = gigabytes(size)
    return size if number is None else f"{number:g} GB"


def _cost(session: GPUSession) -> str:
    parts = []
    if session.cost:
        parts.append(f"{money(session.cost)} so far")
    if session.hourly_rate is not None:
        parts.append(f"{money(session.hourly_rate)} per hour")
    return ", ".join(parts)


def _limits(session: GPUSession) -> str:
    parts = []
    if session.cost_limit is not None:
        parts.append(money(session.cost_limit))
    if session.duration_limit is not None:
        parts.append(format_duration(session.duration_limit))
    return f"stops by itself after {' or '.join(parts)}" if parts else ""


def masked(key: str) -> str:
    """Return a key with its middle left out: ``sk_live_abcd…wxyz``."""
    head = key[: len("sk_live_") + 4]
    return f"{head}…{key[-4:]}" if len(key) > len(head) + 8 else f"{key[:4]}…"


def footer(shell: InteractiveShell, session: GPUSession, seconds: float) -> None:
    """Show how long a cell ran, on what, and what that cost; in one grey line."""
    parts = [f"{seconds:.2f} s", session.gpu_type]
    if session.hourly_rate is not None:
        parts.append(money(session.hourly_rate * seconds / 3600))
    text = " · ".join(part for part in parts if part)
    grey = f'<small style="opacity: 0.6">{escape(text)}</small>'
    shell.display_pub.publish(data={"text/plain": text, "text/html": grey}, metadata={})
