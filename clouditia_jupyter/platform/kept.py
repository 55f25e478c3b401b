"""What the runs of ended sessions put out, as it is kept in their pods' folders.

All of it but what lives only with a session: widgets, and questions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clouditia_jupyter.errors import JobNotFoundError
from clouditia_jupyter.platform.pod import history

_RUN_ID = re.compile(r"[0-9A-Za-z_-]{8,80}")
_LIVING = frozenset({"comm_open", "comm_msg", "comm_close", "comm_target", "input_request"})
_VIEW = "application/vnd.jupyter.widget-view+json"
_REASON = "The session ended while this ran."
#: The last events of a run that has none.
_LOST: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "error",
        {"ename": "SessionLostError", "evalue": _REASON, "traceback": [_REASON], "final": True},
    ),
    ("done", {"status": "lost", "execution_count": None, "seconds": 0.0}),
)
_CHUNK = 1 << 16


def runs(pod_folder: Path) -> list[dict[str, Any]]:
    """Return the runs of an ended session, the newest first; none where nothing is kept."""
    return history.read(pod_folder / "runs")


def events(pod_folder: Path, run_id: str, after: int) -> Iterator[bytes]:
    """Return the events of one of them after number ``after``, as JSON lines in some chunks.

    The last is ``done``, whatever became of the session.

    Raises
    ------
    JobNotFoundError
        If it is not kept.
    """
    path = pod_folder / "runs" / f"{run_id}.ndjson"
    if not _RUN_ID.fullmatch(run_id) or not path.is_file():
        raise JobNotFoundError(
            f"The output of run {run_id!r} is not kept: it is too old, or there was none."
        )
    return _chunks(path, after)


def _chunks(path: Path, after: int) -> Iterator[bytes]:
    chunk = bytearray()
    for line in _lines(path, after):
        chunk += line
        if len(chunk) >= _CHUNK:
            yield bytes(chunk)
            chunk.clear()
    yield bytes(chunk)


def _lines(path: Path, after: int) -> Iterator[bytes]:
    last, done = 0, False
    with path.open("rb") as file:
        for line in file:
            try:
                event = json.loads(line)
                last, done = int(event["seq"]), event["type"] == "done"
            except (ValueError, KeyError, TypeError):  # cut where the pod was
                break
            if last > after and event["type"] not in _LIVING:
                yield _lasting(event, line)
    if not done:
        for number, (kind, content) in enumerate(_LOST, start=last + 1):
            if number > after:
                event = {"seq": number, "type": kind, "content": content}
                yield json.dumps(event).encode() + b"\n"


def _lasting(event: dict[str, Any], line: bytes) -> bytes:
    """Return the line of an event without a view of a widget, which is no more."""
    if _VIEW.encode() not in line:
        return line.removesuffix(b"\n") + b"\n"
    event["content"].get("data", {}).pop(_VIEW, None)
    return json.dumps(event).encode() + b"\n"
