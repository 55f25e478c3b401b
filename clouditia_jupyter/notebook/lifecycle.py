"""``create`` and ``stop``: the two commands that start and end a bill."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from clouditia_jupyter.errors import (
    ClouditiaError,
    InsufficientResourcesError,
    SessionStateError,
    WaitTimeoutError,
)
from clouditia_jupyter.models import CREATION_STEPS, LIVE_STATUSES, format_duration
from clouditia_jupyter.notebook import resolve
from clouditia_jupyter.notebook.output import UpdatingLine, can_ask, confirmed, say
from clouditia_jupyter.notebook.wording import described, money, step_words

if TYPE_CHECKING:
    from argparse import Namespace

    from clouditia_jupyter.models import GPUSession
    from clouditia_jupyter.notebook.actions import Context


def create(context: Context, arguments: Namespace) -> None:
    """Rent a machine, say how far it is, and make it the current session."""
    gpus = _wanted(arguments)
    manager = context.connection.open()
    progress = _Progress(context, arguments.name)
    began = time.monotonic()
    request: dict[str, Any] = {
        "gpus": gpus,
        "vcpu": arguments.vcpu,
        "ram": arguments.ram,
        "storage": arguments.storage,
        "cost_limit": arguments.cost_limit,
        "duration_limit": arguments.duration_limit,
        "allow_partial": arguments.partial,
        "queue_if_unavailable": arguments.queue,
        "wait_ready": not arguments.no_wait,
        "timeout": arguments.timeout,
        "verbose": False,
        "on_progress": progress,
    }
    try:
        made = _create(context, request, yes=arguments.yes)
    except (KeyboardInterrupt, WaitTimeoutError):
        if progress.session is not None:
            context.connection.choose(progress.session)
            say(_still_going(progress.session))
        raise
    if isinstance(made, dict):
        say(
            f"Queued at place {made.get('position', '?')}: ticket {str(made['queue_id'])[:8]}. "
            "%clouditia queue shows it, and %clouditia queue cancel ID gives it up."
            + (" Name its session once it runs, with %clouditia rename." if arguments.name else "")
        )
        return
    missing = f" without {', '.join(made.unavailable_gpus)}" if made.unavailable_gpus else ""
    if arguments.name:
        made = manager.rename_session(made.id, arguments.name)
    context.connection.choose(made)
    seconds = time.monotonic() - began
    if arguments.no_wait:
        say(f"{resolve.label(made)} is {made.status}{missing}; %clouditia show says how far it is.")
        return
    progress.line.show(f"{resolve.label(made)} is ready after {seconds:.1f} s{missing}.")
    say(described(made, head=False))


def _create(context: Context, request: dict[str, Any], *, yes: bool) -> Any:
    manager = context.connection.open()
    try:
        return manager.create_session(**request)
    except InsufficientResourcesError as error:
        rest = error.available_gpus
        missing = ", ".join(error.unavailable_gpus)
        what = f"Not available now: {missing}." if missing else str(error)
        asking = rest and not yes and can_ask(context.shell)
        if asking:
            yes = confirmed(f"{what} Go on with {', '.join(rest)} alone?")
        if not (rest and yes):
            raise InsufficientResourcesError(_ways_out(what, rest), details=error.details) from None
    return manager.create_session(**{**request, "allow_partial": True})


def _ways_out(what: str, rest: list[str]) -> str:
    """Return the client's refusal with the options that this side has."""
    if rest:
        return f"{what} --partial goes on with {', '.join(rest)}, --queue waits for all of them."
    return f"{what} --queue waits for them, and %clouditia inventory lists what is free."


def _wanted(arguments: Namespace) -> list[dict[str, Any]]:
    if not arguments.gpu:
        raise UsageError(
            "%clouditia create needs --gpu SLUG; %clouditia inventory lists the GPUs on offer"
        )
    if arguments.count and len(arguments.gpu) > 1:
        raise UsageError("with several --gpu, give each its count: --gpu SLUG=COUNT")
    return [
        {"type": slug, "count": number or arguments.count or 1} for slug, number in arguments.gpu
    ]


class _Progress:
    """Shows the steps of a session that is being made; remembers it."""

    def __init__(self, context: Context, name: str | None) -> None:
        self.session: GPUSession | None = None
        self._name = name  # it is given at the end; a user knows the session by it from the start
        self.line = UpdatingLine(context.shell)

    def __call__(self, session: GPUSession) -> None:
        self.session = session
        step = session.creation_step or session.status
        words = step_words(step)
        if step in CREATION_STEPS:
            number, of = CREATION_STEPS.index(step) + 1, len(CREATION_STEPS)
            words = f"{'■' * number}{'□' * (of - number)}  {words}"
        self.line.show(f"Creating {self._name or session.name} ({session.short_id})  {words}")


def _still_going(session: GPUSession) -> str:
    return (
        f"Session {resolve.label(session)} is still being made, and bills once it runs: "
        f"%clouditia show {session.short_id} says how far it is, "
        f"%clouditia stop {session.short_id} ends it."
    )


def stop(context: Context, arguments: Namespace) -> None:
    """End sessions, and say what they cost."""
    targets = _targets(context, arguments)
    if not targets:
        say("No session is running.")
        return
    if not arguments.yes:
        names = resolve.listed(targets)
        if can_ask(context.shell):
            if not confirmed(f"Stop {names}? Variables and files there will be gone."):
                say("Nothing was stopped.")
                return
        elif arguments.all:
            raise UsageError(f"%clouditia stop --all would stop {names}: say --yes to do it")
    for session in targets:
        _stop(context, session)


def _targets(context: Context, arguments: Namespace) -> list[GPUSession]:
    connection = context.connection
    if arguments.all:
        if arguments.session:
            raise UsageError("give --all or one session, not both")
        return [s for s in connection.open().list_sessions() if s.status in LIVE_STATUSES]
    session = connection.session(arguments.session)
    if session.status not in LIVE_STATUSES:
        if session.id == connection.current:
            connection.current = None
        raise SessionStateError(
            f"Session {resolve.label(session)} is {session.status} already; "
            "%clouditia sessions --status running lists those that run."
        )
    return [session]


def _stop(context: Context, session: GPUSession) -> None:
    connection = context.connection
    manager = connection.open()
    connection.forget(session.id)
    manager.stop_session(session.id, verbose=False)
    if connection.current == session.id:
        connection.current = None
    try:
        cost = manager.get_session_cost(session.id)
    except ClouditiaError:
        say(f"{resolve.label(session)} is stopped.")
        return
    ran = format_duration(cost["duration_seconds"])
    spent = money(cost["cost"], cost["currency"])
    say(f"{resolve.label(session)} is stopped: it ran {ran} and cost {spent}.")
