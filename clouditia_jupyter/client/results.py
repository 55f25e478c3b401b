"""What a run or a shell command came to, folded out of its events or answer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from clouditia_jupyter.errors import SessionLostError, remote_error
from clouditia_jupyter.models import Event

#: What the stock service sends for "no output at all".
_NO_OUTPUT = "(Aucune sortie)"
_LAST_LINE = re.compile(r"^(?P<ename>[A-Za-z_][\w.]*)(?:: (?P<evalue>.*))?$")


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a cell run came to; true where it succeeded.

    Attributes
    ----------
    output
        What it printed, then its last expression; also ``str()`` of the result.
    result
        The last expression's repr, or None.
    error
        ``"ValueError: …"`` where it raised, else empty.
    exit_code
        0, or 1 where it raised.
    success
        Whether it ran to its end.
    stderr
        What it wrote to standard error.
    display_data
        MIME bundles that it displayed, its last expression included.
    ename, evalue, traceback
        Class name, message and frames of what it raised.
    status
        ``ok``, ``error``, or ``lost`` where the kernel died under it.
    seconds
        How long it ran; None where the service does not say.
    run_id
        Its id, where the service has one.
    """

    output: str = ""
    result: str | None = None
    error: str = ""
    exit_code: int = 0
    success: bool = True
    stderr: str = ""
    display_data: list[dict[str, Any]] = field(default_factory=list, repr=False)
    ename: str = ""
    evalue: str = ""
    traceback: list[str] = field(default_factory=list, repr=False)
    status: str = "ok"
    seconds: float | None = None
    run_id: str | None = None

    def __str__(self) -> str:
        return self.output

    def __bool__(self) -> bool:
        return self.success

    def raise_for_error(self) -> RunResult:
        """Return the result itself, or raise what the remote code raised.

        Raises
        ------
        RemoteError
            Also of the builtin class that the remote exception had.
        SessionLostError
            If the kernel died under the run.
        """
        if self.success:
            return self
        if self.status == "lost":
            raise SessionLostError(self.error)
        raise remote_error(self.ename or "RemoteError", self.evalue or self.error, self.traceback)


@dataclass(frozen=True, kw_only=True)
class ShellResult:
    """What a shell command came to; true where it exited with 0."""

    output: str = ""
    error: str = ""
    exit_code: int = 0
    success: bool = True

    def __str__(self) -> str:
        return self.output

    def __bool__(self) -> bool:
        return self.success

    @classmethod
    def from_answer(cls, data: Mapping[str, Any]) -> ShellResult:
        """Return the result that an answer of the code-editor API describes."""
        success = bool(data.get("success", True))
        return cls(
            output=_text(data.get("output")),
            error=str(data.get("error") or ""),
            exit_code=int(data.get("exit_code", 0 if success else 1) or 0),
            success=success,
        )


def fold(events: Iterable[Event], run_id: str | None = None) -> RunResult:
    """Return what the events of one run, up to ``done``, amount to."""
    stdout: list[str] = []
    stderr: list[str] = []
    displays: list[dict[str, Any]] = []
    by_id: dict[str, int] = {}
    result: str | None = None
    error: Mapping[str, Any] = {}
    done: Mapping[str, Any] = {"status": "lost"}
    for event in events:
        content = event.content
        if event.type == "stream":
            (stderr if content.get("name") == "stderr" else stdout).append(content["text"])
        elif event.type in ("display_data", "execute_result"):
            data = content.get("data") or {}
            if event.type == "execute_result":
                result = data.get("text/plain")
            display_id = (content.get("transient") or {}).get("display_id")
            if display_id is not None:
                by_id[display_id] = len(displays)
            displays.append(data)
        elif event.type == "update_display_data":
            place = by_id.get((content.get("transient") or {}).get("display_id", ""))
            if place is not None:
                displays[place] = content.get("data") or {}
        elif event.type == "payload" and content.get("source") == "page":
            displays.append(content["data"])
        elif event.type == "clear_output":
            stdout, stderr, displays, by_id = [], [], [], {}
        elif event.type == "error":
            error = content
        elif event.type == "done":
            done = content
    status = str(done.get("status", "ok"))
    if status == "ok":
        error = {}  # after what it showed, it went on
    elif "ename" in done and not error.get("final"):
        error = done
    return RunResult(
        output="".join(stdout) + (result or ""),
        result=result,
        error=_sentence(status, error),
        exit_code=0 if status == "ok" else 1,
        success=status == "ok",
        stderr="".join(stderr),
        display_data=displays,
        ename=str(error.get("ename", "")),
        evalue=str(error.get("evalue", "")),
        traceback=list(error.get("traceback") or []),
        status=status,
        seconds=done.get("seconds"),
        run_id=run_id,
    )


def _sentence(status: str, error: Mapping[str, Any]) -> str:
    if status == "ok":
        return ""
    if status == "lost":
        return "The session's kernel ended under this run, and its variables are gone; run again."
    ename, evalue = error.get("ename", "Error"), error.get("evalue", "")
    return f"{ename}: {evalue}" if evalue else str(ename)


def timed_out(result: RunResult, seconds: float) -> RunResult:
    """Return the result of a run that was interrupted because its time was up."""
    sentence = f"The run was interrupted after {seconds:g} s, its timeout; allow it more."
    return dataclasses.replace(
        result, error=f"TimeoutError: {sentence}", ename="TimeoutError", evalue=sentence
    )


def from_exec(data: Mapping[str, Any]) -> RunResult:
    """Return the result that an answer of the persistent or isolated execution describes."""
    success = bool(data.get("success", True))
    error = "" if success else str(data.get("error") or "The run failed, and did not say why.")
    lines = error.strip().splitlines()
    match = _LAST_LINE.match(lines[-1]) if lines else None
    result = data.get("result")
    return RunResult(
        output=_text(data.get("output")),
        result=None if result is None else str(result),
        error=error,
        exit_code=int(data.get("exit_code") or (0 if success else 1)),
        success=success,
        ename=match["ename"] if match else "",
        evalue=(match["evalue"] or "") if match else error,
        traceback=lines if len(lines) > 1 else [],
        status="ok" if success else "error",
    )


def _text(output: Any) -> str:
    text = str(output or "")
    return "" if text.strip() == _NO_OUTPUT else text
