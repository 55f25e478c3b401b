"""``%%clouditia_run``: run a cell in a session, as if it were local."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from IPython.core.error import UsageError

from clouditia_jupyter.errors import UnsupportedError
from clouditia_jupyter.models import Event
from clouditia_jupyter.notebook.failure import Interrupted
from clouditia_jupyter.notebook.follow import Limit, follow
from clouditia_jupyter.notebook.outcome import GONE, explained, require_success
from clouditia_jupyter.notebook.output import can_ask, footnote, say
from clouditia_jupyter.notebook.parcel import Packer, Parcel
from clouditia_jupyter.notebook.render import Renderer
from clouditia_jupyter.notebook.resolve import label
from clouditia_jupyter.notebook.variables import bring_back
from clouditia_jupyter.notebook.wording import money, spent, spent_in_all

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.config import Settings
    from clouditia_jupyter.models import GPUSession
    from clouditia_jupyter.notebook.connection import Connection


class Runner:
    """Runs cells in the sessions of one connection.

    Parameters
    ----------
    settings
        Say what ``--auto`` may send, and whether cells end with a footer.
    """

    def __init__(self, shell: InteractiveShell, connection: Connection, settings: Settings) -> None:
        self._shell = shell
        self._connection = connection
        self._settings = settings
        self._renderer = Renderer(shell)

    def run(self, arguments: Namespace, code: str, *, named: bool = False) -> None:
        """Run ``code`` to its end; with ``--bg``, only begin it.

        Parameters
        ----------
        named
            Whether to tell a person in which session it runs.

        Raises
        ------
        RemoteError
            What the code raised, under its own name.
        KeyboardInterrupt
            If the user interrupted it.
        WaitTimeoutError
            If it went past ``--timeout`` or ``--max-cost``.
        SessionLostError
            If the session, or the kernel in it, went away.
        """
        if arguments.bg and arguments.output:
            raise UsageError("with --bg there is nothing to bring back yet: leave -o out")
        if arguments.on and arguments.session:
            raise UsageError("give --on or --session, not both")
        packer = Packer(
            self._shell,
            arguments.input,
            code if arguments.auto else None,
            self._settings.auto_limit,
        )
        if arguments.on:
            self._fan_out(arguments, code, packer)
            return
        limit = self._limit(arguments)
        if arguments.bg:
            self._begin(arguments, code, packer, limit)
            return
        options = {"allow_stdin": can_ask(self._shell)}
        try:
            session, live, sent = self._start(arguments.session, code, packer, options)
        except UnsupportedError:
            if not packer.empty or arguments.output:
                raise
            self._run_plainly(arguments.session, code, limit)
            return
        where = f"in {label(session)}" if named else ""
        person, footer = can_ask(self._shell), self._settings.footer
        if person and where and not footer:
            footnote(self._shell, where)
        with explained(self._connection, session):
            ending = follow(sent.stream, self._renderer, live, limit, interrupted=sent.interrupted)
        # of a cell that failed, too: it has cost as much
        if person and footer and ending.seconds:
            cost = spent(session, self._connection.meter(session), ending.seconds)
            footnote(self._shell, f"{where} · {cost}" if where else cost)
        require_success(self._connection, session, ending, self._renderer)
        if arguments.output:
            bring_back(self._shell, live, arguments.output, trust_pickle=arguments.trust_pickle)

    def _fan_out(self, arguments: Namespace, code: str, packer: Packer) -> None:
        # most cells run in one session
        from clouditia_jupyter.notebook.fan_out import FanOut

        sessions = self._connection.sessions(arguments.on)
        fan_out = FanOut(
            self._shell, self._connection, sessions, lambda s: self._limit(arguments, s)
        )
        if arguments.bg:
            fan_out.begin(code, packer)
            return
        try:
            trust = arguments.trust_pickle
            fan_out.run(code, packer, arguments.output, trust_pickle=trust)
        finally:
            done = [branch for branch in fan_out.branches if branch.values]
            for name in arguments.output if done else ():
                self._shell.user_ns[name] = {b.name: b.values[name] for b in done}
            took = [(b.session, b.ending.seconds) for b in fan_out.branches if b.ending.seconds]
            if took and can_ask(self._shell) and self._settings.footer:
                rows = [(self._connection.meter(session), seconds) for session, seconds in took]
                footnote(self._shell, spent_in_all(rows))

    def _limit(self, arguments: Namespace, session: GPUSession | None = None) -> Limit | None:
        """Return the limit that comes first; asks nobody where there is none."""
        limits = []
        if arguments.timeout is not None:
            limits.append(Limit(arguments.timeout, f"ran longer than {arguments.timeout} s"))
        if arguments.max_cost is not None:
            if session is None:
                session, _ = self._connection.live(arguments.session)
            seconds = self._connection.meter(session).seconds_for(arguments.max_cost)
            if seconds < threading.TIMEOUT_MAX:  # else it is never reached
                limits.append(Limit(seconds, f"has cost {money(arguments.max_cost)}"))
        return min(limits, default=None)

    def _begin(self, arguments: Namespace, code: str, packer: Packer, limit: Limit | None) -> None:
        options = {"limit": None if limit is None else limit.seconds}
        session, _, (stream, interrupted) = self._start(arguments.session, code, packer, options)
        stream.close()
        if interrupted:
            stream.interrupt()
            raise Interrupted
        short = stream.run_id[:8]
        say(
            f"Run {short} goes on by itself in {label(session)}. %clouditia attach {short} shows "
            f"its output, %clouditia cancel {short} ends it."
        )

    def _start(
        self, word: str | None, code: str, packer: Packer, options: Mapping[str, Any]
    ) -> tuple[GPUSession, LiveSession, Sent]:
        run_id = uuid4().hex
        session, live = self._connection.live(word)
        try:
            return session, live, send(live, code, run_id, packer.pack(session, live), options)
        except GONE:
            # asking again tells which, and either says so or leads there
            self._connection.forget(session.id)
        # by its id: another session may have the name by now
        session, live = self._connection.live(session.id if word else None)
        # the same id: if the first try did reach the session, this attaches to it
        return session, live, send(live, code, run_id, packer.pack(session, live), options)

    def _run_plainly(self, word: str | None, code: str, limit: Limit | None) -> None:
        """Run on a service without event streams: the output comes in one piece, at the end."""
        _, live = self._connection.live(word)
        result = live.run(code, timeout=None if limit is None else limit.seconds)
        for name, text in (("stdout", result.output), ("stderr", result.stderr)):
            if text:
                self._renderer.show(
                    Event(seq=0, type="stream", content={"name": name, "text": text})
                )
        result.raise_for_error()


class Sent(NamedTuple):
    """A run that has reached its session, and whether the user interrupted that."""

    stream: EventStream
    interrupted: bool


def send(
    live: LiveSession, code: str, run_id: str, parcel: Parcel, options: Mapping[str, Any]
) -> Sent:
    """Send what a cell takes along, and its code.

    Raises
    ------
    KeyboardInterrupt
        If the user interrupted that before the code was there.
    """
    interrupted = False
    try:
        stream = live.start(code, run_id=run_id, values=parcel.values, **options)
    except KeyboardInterrupt:
        # it may have reached the session all the same
        if not any(run["run_id"] == run_id for run in live.runs()):
            raise Interrupted from None
        stream, interrupted = live.attach(run_id), True
    if parcel.note:
        say(parcel.note)
    return Sent(stream, interrupted)
