"""``%%clouditia_run --on``: one cell in several sessions at the same time.

A thread for each session follows its run; all that is shown is shown from here, by the thread of
the cell. A session that fails stops no other.
"""

from __future__ import annotations

import contextlib
import threading
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from clouditia_jupyter.errors import ClouditiaError, RemoteErrors, remote_errors
from clouditia_jupyter.notebook.failure import Interrupted
from clouditia_jupyter.notebook.follow import Ending, Limit, follow
from clouditia_jupyter.notebook.labelled import REFRESH, outputs_of
from clouditia_jupyter.notebook.outcome import GONE, cause, explained, killed
from clouditia_jupyter.notebook.output import say
from clouditia_jupyter.notebook.parcel import Parcel
from clouditia_jupyter.notebook.variables import brought

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.models import Event, GPUSession
    from clouditia_jupyter.notebook.connection import Connection
    from clouditia_jupyter.notebook.parcel import Packer
    from clouditia_jupyter.notebook.runner import Sent


@dataclass(eq=False)
class Branch:
    """One session's part in a cell.

    Attributes
    ----------
    name
        The session's, or its short id; with both where the name is another's too.
    stream
        Once its run has begun.
    values
        What came back of it, by local name.
    error
        Why it failed.
    over
        Whether nothing more comes of it.
    """

    session: GPUSession
    name: str
    live: LiveSession | None = None
    parcel: Parcel = field(default_factory=Parcel)
    limit: Limit | None = None
    stream: EventStream | None = None
    ending: Ending = field(default_factory=Ending)
    values: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None
    over: bool = False


class FanOut:
    """Runs one cell in several sessions.

    Parameters
    ----------
    sessions
        Where, in the order in which they are named.
    limit_of
        Returns what the cell may take in one of them.

    Attributes
    ----------
    branches
        One for each session, in the same order.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        connection: Connection,
        sessions: Sequence[GPUSession],
        limit_of: Callable[[GPUSession], Limit | None],
    ) -> None:
        names = Counter(session.name for session in sessions)
        self.branches = [
            Branch(s, s.name if s.name and names[s.name] == 1 else f"{s.name} {s.short_id}".strip())
            for s in sessions
        ]
        self._connection = connection
        self._limit_of = limit_of
        self._outputs = outputs_of(shell, [branch.name for branch in self.branches])
        self._events: deque[tuple[Branch, Event]] = deque()
        self._arrived = threading.Event()
        self._interrupts = 0

    def run(
        self, code: str, packer: Packer, wanted: Mapping[str, str], *, trust_pickle: bool
    ) -> None:
        """Run ``code`` to its end everywhere.

        Parameters
        ----------
        wanted
            Names to bring back from each session, by local name.
        trust_pickle
            Whether they may come as pickles, which run code here.

        Raises
        ------
        RemoteErrors
            If it failed anywhere; the rest is done all the same.
        KeyboardInterrupt
            If the user interrupted it.
        """
        self._prepare(packer)
        self._each(lambda branch: self._follow(branch, code, wanted, trust_pickle))
        passed_on = 0
        while True:
            try:
                while passed_on < self._interrupts:
                    passed_on += 1
                    self._pass_on(passed_on)
                self._show()
                break
            except KeyboardInterrupt:
                self._interrupts += 1
                if self._interrupts > 3:  # killing them hangs too: let the user go
                    raise
        for branch in self.branches:
            self._judge(branch)
        self._outputs.close()
        self._raise_failures()

    def begin(self, code: str, packer: Packer) -> None:
        """Begin ``code`` everywhere, for nobody to wait for; then as :meth:`run`."""
        self._prepare(packer)
        for branch in self.branches:
            try:
                limit = None if branch.limit is None else branch.limit.seconds
                stream, interrupted = self._send(branch, code, {"limit": limit})
                stream.close()
                if interrupted:
                    stream.interrupt()
                    raise Interrupted
                say(f"{branch.name}: run {stream.run_id[:8]} goes on by itself.")
            except ClouditiaError as error:
                branch.error = branch.error or error
        self._raise_failures()

    def _prepare(self, packer: Packer) -> None:
        """Open every session, and pack what goes there: asked and said before anything runs."""
        packer.seal()
        for branch in self.branches:
            try:
                branch.live = self._open(branch.session)
                branch.limit = self._limit_of(branch.session)
                parcel = packer.pack(branch.session, branch.live)
            except GONE as error:
                branch.error = error
                continue
            if parcel.note:
                say(parcel.note)
            branch.parcel = Parcel(parcel.values)

    def _open(self, session: GPUSession) -> LiveSession:
        try:
            _, live = self._connection.live(session.id)
            live.verify()
        except GONE:
            # asking again tells which, and either says so or leads there
            self._connection.forget(session.id)
            _, live = self._connection.live(session.id)
        return live

    def _each(self, act: Callable[[Branch], None]) -> None:
        for branch in self.branches:
            threading.Thread(
                target=act, args=(branch,), name=f"clouditia-{branch.name}", daemon=True
            ).start()

    # On a branch's own thread

    def _follow(
        self, branch: Branch, code: str, wanted: Mapping[str, str], trust_pickle: bool
    ) -> None:
        try:
            # nothing but the thread of the cell is interrupted
            stream = branch.stream = self._send(branch, code, {}).stream
            if self._interrupts:
                stream.interrupt()
            assert branch.live is not None
            branch.ending = follow(stream, _Passed(self, branch), branch.live, branch.limit)
            if branch.ending.status == "ok":
                branch.values = brought(branch.live, wanted, trust_pickle=trust_pickle)
        except Exception as error:
            branch.error = branch.error or error
        finally:
            branch.over = True
            self._arrived.set()

    def _send(self, branch: Branch, code: str, options: Mapping[str, Any]) -> Sent:
        # the other way round it needs this module
        from clouditia_jupyter.notebook.runner import send

        if branch.error is not None:
            raise branch.error
        assert branch.live is not None
        return send(branch.live, code, uuid4().hex, branch.parcel, options)

    def put(self, branch: Branch, event: Event) -> None:
        """Hand an event to the thread of the cell."""
        self._events.append((branch, event))
        self._arrived.set()

    # On the thread of the cell

    def _show(self) -> None:
        while self._events or not all(branch.over for branch in self.branches):
            if self._events:
                # nothing is called between these: an interrupt loses no event
                item = self._events[0]
                del self._events[0]
                branch, event = item
                self._outputs.show(branch.name, event)
            else:
                if not self._arrived.wait(REFRESH):
                    self._outputs.refresh()
                self._arrived.clear()

    def _pass_on(self, number: int) -> None:
        if number == 1:
            say("Interrupting the sessions; interrupt again to kill their kernels.")
        self._each(_interrupt if number == 1 else _kill)

    def _judge(self, branch: Branch) -> None:
        """Note why a branch failed, in the words of a cell that runs in one session."""
        if branch.stream is not None:
            branch.ending.interrupted = self._interrupts > 0
            branch.ending.killed = branch.ending.killed or self._interrupts > 1
            if self._interrupts > 1 and branch.ending.status != "ok":
                self._outputs.text(branch.name, f"{killed(branch.session)}\n")
        for event in branch.ending.behind:
            self._outputs.show(branch.name, event)
        try:
            with explained(self._connection, branch.session):
                if branch.error is None and not branch.ending.well:
                    branch.error = cause(self._connection, branch.session, branch.ending)
                elif branch.error is not None:
                    raise branch.error
        except Exception as error:
            branch.error = error

    def _raise_failures(self) -> None:
        failures = {b.name: b.error for b in self.branches if b.error is not None}
        if not failures:
            return
        group = remote_errors(failures, len(self.branches))
        if self._interrupts:
            raise Interrupted(RemoteErrors._render_traceback_(group)) from None
        raise group from None


class _Passed:
    """Stands where a renderer does, on a branch's thread."""

    def __init__(self, fan_out: FanOut, branch: Branch) -> None:
        self._fan_out, self._branch = fan_out, branch

    def showing(self, stream: EventStream) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def show(self, event: Event) -> None:
        self._fan_out.put(self._branch, event)

    def relay(self, event: Event, stream: EventStream) -> None:
        pass  # a widget of several sessions shows as text


def _interrupt(branch: Branch) -> None:
    if branch.stream is not None and not branch.over:
        with contextlib.suppress(ClouditiaError):  # its stream will say the same
            branch.stream.interrupt()


def _kill(branch: Branch) -> None:
    if branch.live is not None and not branch.over:
        with contextlib.suppress(ClouditiaError):
            branch.live.restart_kernel()
