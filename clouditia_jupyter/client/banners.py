"""What the client tells its user: the printed forms, and the one place that prints.

The texts follow the published manager's, but for the password: outputs are saved in notebooks, so
only a mask is shown, and ``session.password`` has the real one.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable, Mapping
from types import BuiltinFunctionType
from typing import Any, TextIO

from clouditia_jupyter.models import GPUSession, QueueAttempt, QueueJob

RULE = "=" * 50
_THIN = "  " + "-" * 46
PASSWORD_MASK = "*" * 12
_YES = frozenset({"y", "yes", "o", "oui"})


class Printer:
    """Writes to a text stream, or nothing at all.

    Parameters
    ----------
    enabled
        Whether anything is written.
    stream
        Where to; by default what ``sys.stdout`` is at the time.
    """

    def __init__(self, enabled: bool, stream: TextIO | None = None) -> None:
        self.enabled = enabled
        self._stream = stream

    def line(self, text: str = "") -> None:
        """Write ``text`` as a line of its own."""
        self.part(text + "\n")

    def part(self, text: str) -> None:
        """Write ``text`` as it is, at once."""
        if self.enabled:
            stream = self._stream or sys.stdout
            stream.write(text)
            stream.flush()

    def confirm(self, question: str) -> bool:
        """Return whether the user says yes; no where nobody can be asked."""
        if not self.enabled or not _can_ask():
            return False
        try:
            return input(question).strip().lower() in _YES
        except (EOFError, OSError, RuntimeError, NotImplementedError):
            # a kernel run without a front end raises instead of asking
            return False


def _can_ask() -> bool:
    # a kernel puts its own input() in place, which asks the front end or raises; the builtin one
    # would wait for ever on a pipe that nobody writes to
    if not isinstance(builtins.input, BuiltinFunctionType):
        return True
    try:
        return sys.stdin is not None and sys.stdin.isatty()
    except ValueError:  # closed
        return False


def _box(title: str, lines: Iterable[str]) -> str:
    return "\n".join(["", RULE, f"  {title}", RULE, *lines, RULE])


def _slug(gpu: Mapping[str, Any]) -> str:
    return str(gpu.get("slug") or gpu.get("type") or "GPU")


def session_ready(session: GPUSession) -> str:
    """Return the SESSION READY banner."""
    lines = [
        f"  Name     : {session.name}",
        f"  Short ID : {session.short_id}",
        f"  Status   : {session.status}",
    ]
    if len(session.gpus) > 1:
        lines.append(f"  GPUs     : {session.gpu_count} total")
        lines += [f"           - {_slug(gpu)} x{gpu.get('quantity', 1)}" for gpu in session.gpus]
    else:
        lines.append(f"  GPU      : {session.gpu_type} x{session.gpu_count}")
    lines += [
        f"  vCPU     : {session.vcpu}",
        f"  RAM      : {session.ram}",
        f"  Storage  : {session.storage}",
    ]
    if session.auto_stop_enabled:
        lines += [_THIN, "  AUTO-STOP ENABLED"]
        if session.cost_limit is not None:
            lines.append(f"  Cost Limit     : {session.cost_limit} EUR")
        if session.duration_limit is not None:
            hours, rest = divmod(session.duration_limit, 3600)
            lines.append(f"  Duration Limit : {hours}h {rest // 60}m ({session.duration_limit}s)")
        lines.append(_THIN)
    lines += [f"  URL      : {session.url}", f"  Password : {PASSWORD_MASK}"]
    return _box("SESSION READY", lines)


def session_stopped(session: GPUSession) -> str:
    """Return the SESSION STOPPED banner."""
    lines = [
        f"  Name     : {session.name}",
        f"  Short ID : {session.short_id}",
        f"  Status   : {session.status}",
    ]
    if len(session.gpus) > 1:
        lines.append(f"  GPUs     : {session.gpu_count} released")
        lines += [f"           - {_slug(gpu)}" for gpu in session.gpus]
    else:
        lines.append(f"  GPU      : {session.gpu_type} (released)")
    return _box("SESSION STOPPED", lines)


def request_queued(ticket: Mapping[str, Any]) -> str:
    """Return the REQUEST QUEUED banner, and what can be done with the ticket."""
    short = str(ticket["queue_id"])[:8]
    lines = [
        f"  Queue ID  : {short}...",
        f"  Position  : #{ticket['position']}",
        f"  Message   : {ticket['message']}",
    ]
    if ticket["unavailable_gpus"]:
        lines.append(f"  Unavailable GPUs: {', '.join(ticket['unavailable_gpus'])}")
    if ticket["available_gpus"]:
        lines.append(f"  Available GPUs  : {', '.join(ticket['available_gpus'])}")
    hints = [
        "",
        f"Use manager.get_queue_job('{short}') to check status",
        f"Use manager.cancel_queue_job('{short}') to cancel",
    ]
    return "\n".join([_box("REQUEST QUEUED", lines), *hints])


def availability(unavailable: Iterable[str], available: Iterable[str]) -> str:
    """Return the GPU AVAILABILITY CHECK banner."""
    lines = ["  Unavailable GPUs:", *(f"    - {slug}" for slug in unavailable)]
    lines += ["  Available GPUs:", *(f"    - {slug}" for slug in available)]
    return _box("GPU AVAILABILITY CHECK", lines)


def queue_job(job: QueueJob, attempts: list[QueueAttempt]) -> str:
    """Return the details of a ticket and its attempts."""
    lines = [
        f"  Queue ID  : {job.queue_id[:8]}...",
        f"  Position  : #{job.position}",
        f"  Status    : {job.status_display or job.status}",
        f"  GPU Config: {job.gpu_config}",
        f"  vCPU      : {job.vcpu}",
        f"  RAM       : {job.ram} GB",
        f"  Storage   : {job.storage} GB",
        f"  Attempts  : {job.attempt_count}",
    ]
    if job.last_error:
        lines.append(f"  Last error: {job.last_error}")
    if job.created_session_id:
        lines.append(f"  Session   : {job.created_session_id[:8]}")
    if attempts:
        lines.append(_THIN)
    for attempt in attempts:
        lines.append(f"  [{'ok' if attempt.success else 'failed'}] {attempt.attempted_at}")
        if attempt.error_message:
            lines.append(f"    Error: {attempt.error_message}")
        if attempt.unavailable_gpus:
            lines.append(f"    Unavailable GPUs: {', '.join(attempt.unavailable_gpus)}")
    return _box("QUEUE JOB", lines)
