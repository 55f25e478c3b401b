"""``%%clouditia_run``: run a cell in a session, as if it were local."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from IPython.core.error import UsageError

from clouditia_jupyter.errors import JobNotFoundError, UnsupportedError
from clouditia_jupyter.models import Event
from clouditia_jupyter.notebook.follow import Limit, follow
from clouditia_jupyter.notebook.outcome import GONE, explained, require_success
from clouditia_jupyter.notebook.output import can_ask, footnote, say
from clouditia_jupyter.notebook.parsing import did_you_mean
from clouditia_jupyter.notebook.render import Renderer
from clouditia_jupyter.notebook.resolve import label
from clouditia_jupyter.notebook.wording import money, spent

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.models import GPUSession
    from clouditia_jupyter.notebook.connection import Connection


class Runner:
    """Runs cells in the sessions of one connection."""

    def __init__(self, shell: InteractiveShell, connection: Connection) -> None:
        self._shell = shell
        self._connection = connection
        self._renderer = Renderer(shell)

    def run(self, arguments: Namespace, code: str, *, with_footer: bool) -> None:
        """Run ``code`` to its end; with ``--bg``, only begin it.

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
        values = self._local_values(arguments.input) if arguments.input else {}
        limit = self._limit(arguments)
        if arguments.bg:
            self._begin(arguments, code, values, limit)
            return
        options = {"allow_stdin": can_ask(self._shell)}
        try:
            session, live, stream = self._start(arguments.session, code, values, options)
        except UnsupportedError:
            if values or arguments.output:
                raise
            self._run_plainly(arguments.session, code, limit)
            return
        with explained(self._connection, session):
            ending = follow(stream, self._renderer, live, limit)
        require_success(self._connection, session, ending)
        if arguments.output:
            self._bring_back(live, arguments.output)
        if with_footer:
            meter = self._connection.meter(session)
            footnote(self._shell, spent(session, meter, ending.seconds))

    def _local_values(self, pairs: Mapping[str, str]) -> dict[str, Any]:
        names = self._shell.user_ns
        values = {}
        for remote, expression in pairs.items():
            if expression.isidentifier() and expression not in names:
                # IPython's own names are no guess worth making
                known = [name for name in names if name not in self._shell.user_ns_hidden]
                raise UsageError(
                    f"no variable is called {expression!r} here{did_you_mean(expression, known)}"
                )
            values[remote] = eval(expression, self._shell.user_global_ns, names)
        return values

    def _limit(self, arguments: Namespace) -> Limit | None:
        """Return the limit that comes first; asks nobody where there is none."""
        limits = []
        if arguments.timeout is not None:
            limits.append(Limit(arguments.timeout, f"ran longer than {arguments.timeout} s"))
        if arguments.max_cost is not None:
            session, _ = self._connection.live(arguments.session)
            seconds = self._connection.meter(session).seconds_for(arguments.max_cost)
            if seconds < threading.TIMEOUT_MAX:  # else it is never reached
                limits.append(Limit(seconds, f"has cost {money(arguments.max_cost)}"))
        return min(limits, default=None)

    def _begin(
        self, arguments: Namespace, code: str, values: Mapping[str, Any], limit: Limit | None
    ) -> None:
        options = {"limit": None if limit is None else limit.seconds}
        session, _, stream = self._start(arguments.session, code, values, options)
        stream.close()
        short = stream.run_id[:8]
        say(
            f"Run {short} goes on by itself in {label(session)}. %clouditia attach {short} shows "
            f"its output, %clouditia cancel {short} ends it."
        )

    def _start(
        self, word: str | None, code: str, values: Mapping[str, Any], options: Mapping[str, Any]
    ) -> tuple[GPUSession, LiveSession, EventStream]:
        run_id = uuid4().hex
        session, live = self._connection.live(word)
        try:
            return session, live, _send(live, code, run_id, values, options)
        except GONE:
            # asking again tells which, and either says so or leads there
            self._connection.forget(session.id)
        # by its id: another session may have the name by now
        session, live = self._connection.live(session.id if word else None)
        # the same id: if the first try did reach the session, this attaches to it
        return session, live, _send(live, code, run_id, values, options)

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

    def _bring_back(self, live: LiveSession, pairs: Mapping[str, str]) -> None:
        values = {local: live.pull(remote) for local, remote in pairs.items()}
        self._shell.user_ns.update(values)


def _send(
    live: LiveSession,
    code: str,
    run_id: str,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
) -> EventStream:
    for name, value in values.items():
        live.push(name, value)
    try:
        return live.start(code, run_id=run_id, **options)
    except KeyboardInterrupt:
        # it may have reached the session all the same
        with suppress(JobNotFoundError):
            live.attach(run_id).interrupt()
        raise
