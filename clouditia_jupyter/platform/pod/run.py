"""A cell run: one piece of code executed in a session's kernel, and its event log."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clouditia_jupyter.platform.pod.comms import TOLD, with_extras
from clouditia_jupyter.platform.pod.log import EventLog
from clouditia_jupyter.platform.pod.message import FAILURE, Message
from clouditia_jupyter.platform.pod.question import Question

#: Kernel messages that are output, and go into the log as they come.
OUTPUTS = frozenset(
    {
        "stream",
        "display_data",
        "update_display_data",
        "execute_result",
        "error",
        "clear_output",
        "input_request",
    }
)
#: How a stream's content begins, in either spelling of the kernel's JSON encoder.
_STREAM_HEADS = tuple(
    template.replace(b"?", name)
    for name in (b"stdout", b"stderr")
    for template in (b'{"name":"?","text":"', b'{"name": "?", "text": "')
)
_STREAM_TAIL = b'"}'
#: What front ends do with these, they can do with a remote cell's too.
_PAYLOADS = ("page", "set_next_input")
_NO_REPLY: Mapping[str, Any] = {}


class Run:
    """One run, from being queued to its ``done`` event.

    Parameters
    ----------
    before
        Expression that the kernel evaluates silently before the code, to a dict. One that is not
        empty says in ``refused`` why the code does not run.
    note
        Called when it has begun, and when it has ended.

    Attributes
    ----------
    status
        ``queued``, ``running``, then ``ok``, ``error`` or ``lost``.
    started, finished
        Unix times; None until then.
    begun
        Set once the kernel has taken up the code, so that an interrupt finds it.
    ended
        Set once the ``done`` event has been written.
    question
        What the code asked last, where it may ask.
    exits
        Whether the code said ``exit``, so that its kernel ends.
    """

    def __init__(
        self,
        run_id: str,
        code: str,
        folder: Path,
        *,
        store_history: bool = True,
        allow_stdin: bool = False,
        before: str | None = None,
        note: Callable[[Run], None] = lambda run: None,
    ) -> None:
        self._note = note
        self.run_id = run_id
        self.code = code
        self.store_history = store_history
        self.allow_stdin = allow_stdin
        self.before = before
        self.question: Question | None = None
        self.log = EventLog(folder / f"{run_id}.ndjson")
        self.status = "queued"
        self.started: float | None = None
        self.finished: float | None = None
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.exits = False
        self._reply: dict[str, Any] | None = None
        self._idle = self._failing = False
        self._failure: bytes | None = None

    @property
    def over(self) -> bool:
        """Whether the ``done`` event has been written."""
        return self.finished is not None

    @property
    def asks(self) -> bool:
        """Whether the code waits for an answer."""
        return self.question is not None and self.question.open

    def outputs(self, messages: list[Message]) -> list[tuple[str, bytes]]:
        """Return the outputs among the kernel's messages, and note what else they say."""
        outputs: list[tuple[str, bytes]] = []
        for message in messages:
            if message.type == "error" and self._failing:
                outputs.append(("error", message.content[:-1] + b',"final":true}'))
                self._failure = message.content
            elif message.type in OUTPUTS:
                outputs.append((message.type, message.content))
            elif message.type == FAILURE:
                self._failing = True
            elif message.type in TOLD:
                outputs.append((message.type, with_extras(message)))
            elif message.type == "execute_input":
                self.begun.set()
            elif message.type == "execute_reply":
                self._reply = json.loads(message.content)
                outputs += _payloads(self._reply)
                self.exits = _exits(self._reply)
            elif message.type == "status" and b'"idle"' in message.content:
                self._idle = True
        return outputs

    def take(self, messages: list[Message]) -> None:
        """Log what the kernel says of this run, and finish when it has said everything."""
        outputs = self.outputs(messages)
        if self._reply is not None and self._idle:
            status = "ok" if self._reply.get("status") == "ok" else "error"
            self._finish(outputs, status, self._reply)
        elif outputs:
            self.log.append(coalesce(outputs))
            if outputs[-1][0] == "input_request":  # nothing comes behind it but its answer
                self.question = Question(len(self.log))

    @property
    def unanswered(self) -> bool:
        """Whether the kernel has turned to other things without a word on how this ended."""
        return self._idle and not self.over

    def give_up(self) -> None:
        """Finish a run that an interrupt hit before the kernel could say so itself."""
        if self.unanswered and self._failure is not None:  # it has said how, and was cut off then
            self._finish([], "error", json.loads(self._failure))
        elif self.unanswered:
            trace = "KeyboardInterrupt: the cell was interrupted as it began"
            self._finish([_failure("KeyboardInterrupt", "", trace)], "error")

    def request(self) -> dict[str, Any]:
        """Return what is asked of the kernel."""
        return {
            "code": self.code,
            "silent": False,
            "store_history": self.store_history,
            "user_expressions": {},
            "allow_stdin": self.allow_stdin,
            # the pod sends one run at a time: there is nothing behind it to abort
            "stop_on_error": False,
        }

    def begin(self, earlier: list[tuple[str, bytes]]) -> None:
        """Note that the code goes to the kernel now; ``earlier`` outputs are shown first."""
        self.status, self.started = "running", time.time()
        self._note(self)
        self.show(earlier)

    def show(self, outputs: list[tuple[str, bytes]]) -> None:
        """Show outputs that came of something else, among those of the code."""
        if outputs:
            self.log.append(coalesce(outputs))

    def note(self, text: str) -> None:
        """Show a line of our own among what the code writes to standard error."""
        if not self.over:
            content = json.dumps({"name": "stderr", "text": f"{text}\n"})
            self.log.append([("stream", content.encode())])

    def refuse(self, reason: str) -> None:
        """Finish a run whose code cannot be run."""
        self._finish([_failure("ValueTransferError", reason, reason)], "error", refused=True)

    def lose(self, reason: str) -> None:
        """Finish a run whose kernel is gone, or that was cancelled before it began."""
        if not self.over:
            self._finish([_failure("SessionLostError", reason, reason)], "lost")

    def _finish(
        self,
        outputs: list[tuple[str, bytes]],
        status: str,
        reply: Mapping[str, Any] = _NO_REPLY,
        **facts: bool,
    ) -> None:
        self.status, self.finished = status, time.time()
        seconds = round(self.finished - (self.started or self.finished), 6)
        count = reply.get("execution_count")
        done = {"status": status, "execution_count": count, "seconds": seconds, **facts}
        # where a display failed, the reply names nothing
        if status == "error" and reply.get("ename", "NoneType") != "NoneType":
            done |= {"ename": reply["ename"], "evalue": reply.get("evalue", "")}
        self.log.append([*coalesce(outputs), ("done", json.dumps(done).encode())])
        self.log.close()
        self._note(self)
        self.begun.set()
        self.ended.set()
        if self.question is not None:
            self.question.close()

    def summary(self) -> dict[str, Any]:
        """Return what the list of runs says of this one."""
        end = self.finished or time.time()
        seconds = round(end - self.started, 3) if self.started else 0.0
        return {**self.headline(), "seconds": seconds, "events": len(self.log)}

    def headline(self) -> dict[str, Any]:
        """Return the same, less what moves: ``seconds`` is None until it has ended."""
        over = self.started is not None and self.finished is not None
        return {
            "run_id": self.run_id,
            "status": self.status,
            "started_at": self.started,
            "seconds": round((self.finished or 0) - (self.started or 0), 3) if over else None,
            "first_line": next((line for line in self.code.splitlines() if line.strip()), "")[:200],
        }


def coalesce(events: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Join neighbouring stream texts of the same name into one event.

    Works on the JSON bytes, in the forms in which the kernel writes them; anything else is left
    as it is.
    """
    joined: list[tuple[str, bytes]] = []
    parts: list[bytes] = []
    open_head: bytes | None = None
    for kind, content in events:
        head = next((h for h in _STREAM_HEADS if kind == "stream" and content.startswith(h)), None)
        if open_head is not None and head == open_head:
            parts.append(content[len(head) : -len(_STREAM_TAIL)])
            continue
        if open_head is not None:
            joined.append(("stream", b"".join([open_head, *parts, _STREAM_TAIL])))
        if head is None:
            joined.append((kind, content))
        else:
            parts = [content[len(head) : -len(_STREAM_TAIL)]]
        open_head = head
    if open_head is not None:
        joined.append(("stream", b"".join([open_head, *parts, _STREAM_TAIL])))
    return joined


def _failure(ename: str, evalue: str, trace: str) -> tuple[str, bytes]:
    content = {"ename": ename, "evalue": evalue, "traceback": [trace], "final": True}
    return "error", json.dumps(content).encode()


def _payloads(reply: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    """Return what the reply asks of the front end: ``obj?`` a pager, ``%load`` another cell."""
    wanted = [p for p in reply.get("payload") or () if p.get("source") in _PAYLOADS]
    return [("payload", json.dumps(payload).encode()) for payload in wanted]


def _exits(reply: Mapping[str, Any]) -> bool:
    payloads = reply.get("payload") or ()
    return any(p.get("source") == "ask_exit" and not p.get("keepkernel") for p in payloads)
