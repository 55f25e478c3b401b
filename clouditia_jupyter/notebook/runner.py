"""``%%clouditia_run``: run a cell in a session, as if it were local."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from IPython.core.error import UsageError

from clouditia_jupyter.errors import (
    AuthenticationError,
    ClouditiaError,
    ConnectionFailedError,
    JobNotFoundError,
    NotFoundError,
    PermissionDeniedError,
    SessionLostError,
    SessionStateError,
    UnsupportedError,
    WaitTimeoutError,
    remote_error,
)
from clouditia_jupyter.models import Event
from clouditia_jupyter.notebook.follow import Ending, follow
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

#: What comes of a session that was stopped elsewhere, whose key was revoked, or whose platform
#: came back at another port.
_GONE = (
    AuthenticationError,
    ConnectionFailedError,
    NotFoundError,
    PermissionDeniedError,
    SessionStateError,
)


class Runner:
    """Runs cells in the sessions of one connection."""

    def __init__(self, shell: InteractiveShell, connection: Connection) -> None:
        self._shell = shell
        self._connection = connection
        self._renderer = Renderer(shell)

    def run(self, arguments: Namespace, code: str, *, with_footer: bool) -> None:
        """Run ``code`` to its end.

        Raises
        ------
        RemoteError
            What the code raised, under its own name.
        KeyboardInterrupt
            If the user interrupted it.
        WaitTimeoutError
            If its time was up.
        SessionLostError
            If the session, or the kernel in it, went away.
        """
        values = self._local_values(arguments.input) if arguments.input else {}
        try:
            session, live, stream = self._start(arguments.session, code, values)
        except UnsupportedError:
            if values or arguments.output:
                raise
            self._run_plainly(arguments, code)
            return
        try:
            ending = follow(stream, self._renderer, live, arguments.timeout)
        except _GONE:
            self._connection.forget(session.id)
            self._connection.live(session.id)  # says what became of it, if it is no more
            raise
        if ending.interrupted or ending.expired or ending.status != "ok":
            self._fail(session, ending, arguments.timeout)
        if arguments.output:
            self._bring_back(live, arguments.output)
        if with_footer:
            footnote(self._shell, spent(session, ending.seconds))

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

    def _start(
        self, word: str | None, code: str, values: Mapping[str, Any]
    ) -> tuple[GPUSession, LiveSession, EventStream]:
        run_id = uuid4().hex
        may_ask = can_ask(self._shell)
        session, live = self._connection.live(word)
        try:
            return session, live, _send(live, code, run_id, values, may_ask=may_ask)
        except _GONE:
            # asking again tells which, and either says so or leads there
            self._connection.forget(session.id)
        # by its id: another session may have the name by now
        session, live = self._connection.live(session.id if word else None)
        # the same id: if the first try did reach the session, this attaches to it
        return session, live, _send(live, code, run_id, values, may_ask=may_ask)

    def _run_plainly(self, arguments: Namespace, code: str) -> None:
        """Run on a service without event streams: the output comes in one piece, at the end."""
        _, live = self._connection.live(arguments.session)
        result = live.run(code, timeout=arguments.timeout)
        for name, text in (("stdout", result.output), ("stderr", result.stderr)):
            if text:
                self._renderer.show(
                    Event(seq=0, type="stream", content={"name": name, "text": text})
                )
        result.raise_for_error()

    def _fail(self, session: GPUSession, ending: Ending, limit: float | None) -> None:
        name = label(session)
        if ending.expired:
            if ending.error:
                say("\n".join(ending.error.get("traceback") or ()))
            did = "it was interrupted"
            if ending.killed:
                did = "its kernel was killed, and its variables are gone"
            raise WaitTimeoutError(
                f"The cell ran longer than {limit} s, so {did}. {self._billing(session)}"
            )
        if ending.interrupted:
            if ending.killed:
                say(f"The kernel of session {name} was killed: its variables are gone.")
            raise _Interrupted(list(ending.error.get("traceback") or ()))
        if ending.status == "error":
            error = ending.error
            raise remote_error(
                error.get("ename", ""), error.get("evalue", ""), error.get("traceback") or ()
            )
        self._connection.forget(session.id)
        raise SessionLostError(
            f"The kernel of session {name} died while it ran the cell: its variables are gone. "
            f"{self._billing(session)}"
        )

    def _billing(self, session: GPUSession) -> str:
        try:
            now = self._connection.open().get_session(session.id)
        except ClouditiaError:
            return f"Whether session {label(session)} still bills is not known: %clouditia status."
        if now.status != "running":
            why = f" ({now.stop_reason})" if now.stop_reason else ""
            return f"Session {label(now)} is {now.status}{why}."
        rate = "" if now.hourly_rate is None else f" at {money(now.hourly_rate)} per hour"
        return f"Session {label(now)} runs on and bills{rate}: %clouditia stop ends it."

    def _bring_back(self, live: LiveSession, pairs: Mapping[str, str]) -> None:
        values = {local: live.pull(remote) for local, remote in pairs.items()}
        self._shell.user_ns.update(values)


def _send(
    live: LiveSession, code: str, run_id: str, values: Mapping[str, Any], *, may_ask: bool
) -> EventStream:
    for name, value in values.items():
        live.push(name, value)
    try:
        return live.start(code, run_id=run_id, allow_stdin=may_ask)
    except KeyboardInterrupt:
        # it may have reached the session all the same
        with suppress(JobNotFoundError):
            live.attach(run_id).interrupt()
        raise


class _Interrupted(KeyboardInterrupt):
    """The local interrupt, shown with the place where the remote code was."""

    def __init__(self, traceback: list[str]) -> None:
        super().__init__()
        self._traceback = traceback

    def _render_traceback_(self) -> list[str]:
        return self._traceback or ["KeyboardInterrupt"]


# what a saved notebook calls it is the class's name
_Interrupted.__name__ = _Interrupted.__qualname__ = "KeyboardInterrupt"
