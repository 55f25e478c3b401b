"""What each command does: a function of the command's name, taking the context and the arguments.

A table is returned, so that ``df = %clouditia sessions`` works; everything else is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.error import UsageError

from clouditia_jupyter.errors import SessionNotFoundError, SessionStateError
from clouditia_jupyter.models import LIVE_STATUSES
from clouditia_jupyter.notebook import resolve
from clouditia_jupyter.notebook.background import attach, cancel, logs, runs
from clouditia_jupyter.notebook.cards import session_card
from clouditia_jupyter.notebook.lifecycle import create, stop
from clouditia_jupyter.notebook.output import display, say
from clouditia_jupyter.notebook.variables import pull, push
from clouditia_jupyter.notebook.wording import described, masked, money, wanted

if TYPE_CHECKING:
    from argparse import Namespace

    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.notebook.connection import Connection
    from clouditia_jupyter.notebook.panel.panel import Panel
    from clouditia_jupyter.notebook.whole_notebook import WholeNotebook

__all__ = [
    "Balance",
    "Context",
    "attach",
    "auto",
    "balance",
    "cancel",
    "costs",
    "create",
    "inventory",
    "key",
    "logs",
    "panel",
    "pull",
    "push",
    "queue",
    "rename",
    "runs",
    "sessions",
    "show",
    "status",
    "stop",
    "use",
]


class Context(NamedTuple):
    """Where a command acts: the user's shell, the service in use, and the mode of the notebook."""

    shell: InteractiveShell
    connection: Connection
    whole: WholeNotebook


class Balance(float):
    """The credit that is left: a number that shows its currency."""

    currency: str

    def __new__(cls, value: float, currency: str = "EUR") -> Balance:
        """Return ``value`` with its currency."""
        self = super().__new__(cls, value)
        self.currency = currency
        return self

    def __repr__(self) -> str:
        return f"{float(self):.2f} {self.currency}"


def status(context: Context, arguments: Namespace) -> None:
    """Say which platform and account, what is running and what it costs."""
    connection = context.connection
    manager = connection.open()
    service = connection.service
    where = "this machine" if service.local else service.computing_url
    credit = manager.get_balance()
    running = [item for item in manager.list_sessions() if item.status in LIVE_STATUSES]
    say(f"Platform  {where}{' (' + service.computing_url + ')' if service.local else ''}")
    say(f"Account   {manager.user.get('username', '?')}")
    say(f"Balance   {money(credit['balance'], credit['currency'])}")
    if context.whole.on:
        say("Auto      on: cells run in the current session; %clouditia auto off ends it")
    if not running:
        say("Sessions  none; %clouditia create --gpu SLUG makes one")
        return
    by_id = {cost["session_id"]: cost for cost in manager.get_active_sessions_cost()["sessions"]}
    for number, item in enumerate(running):
        parts = [f"{resolve.label(item)}: {item.status}", item.gpu_type]
        if cost := by_id.get(item.id):
            parts += [f"{money(cost['cost'])} so far", f"{money(cost['hourly_rate'])} per hour"]
        if item.id == connection.current:
            parts.append("current")
        say(f"{'Sessions' if number == 0 else '':<8}  {', '.join(parts)}")


def inventory(context: Context, arguments: Namespace) -> pd.DataFrame:
    """Return the GPUs on offer."""
    from clouditia_jupyter.notebook import frames

    return frames.inventory(context.connection.open().get_inventory())


def use(context: Context, arguments: Namespace) -> None:
    """Make a session the current one."""
    chosen = context.connection.session(arguments.session)
    if chosen.status in LIVE_STATUSES:
        context.connection.choose(chosen)
        say(f"Cells now run in {resolve.label(chosen)}.")
        return
    # the same words as for a cell that would run there
    context.connection.require_running(chosen)


def sessions(context: Context, arguments: Namespace) -> pd.DataFrame:
    """Return the sessions."""
    from clouditia_jupyter.notebook import frames

    return frames.sessions(context.connection.open().list_sessions(status=arguments.status))


def show(context: Context, arguments: Namespace) -> None:
    """Show everything of one session but its password."""
    session = context.connection.session(arguments.session)
    display(context.shell, described(session), session_card(session))


def rename(context: Context, arguments: Namespace) -> None:
    """Give a session another name."""
    *word, new = arguments.names
    if len(word) > 1:
        raise UsageError("takes a session and one new name; put a name with spaces into quotes")
    if not new.strip():
        raise UsageError("the new name must not be empty")
    session = context.connection.session(word[0] if word else None)
    context.connection.open().rename_session(session.id, new.strip())
    context.connection.forget(session.id)
    say(f"{resolve.label(session)} is now called {new.strip()}.")


def costs(context: Context, arguments: Namespace) -> pd.DataFrame:
    """Return what sessions have cost so far."""
    from clouditia_jupyter.notebook import frames

    manager = context.connection.open()
    if arguments.active:
        return frames.costs(manager.get_active_sessions_cost()["sessions"])
    known = manager.list_sessions()
    if arguments.sessions:
        known = [resolve.session(known, word) for word in arguments.sessions]
    found = manager.get_sessions_cost([item.id for item in known])["sessions"] if known else []
    return frames.costs(found)


def auto(context: Context, arguments: Namespace) -> None:
    """Send every following cell to the current session, or no longer."""
    whole = context.whole
    if arguments.state == "off" or (arguments.state is None and not whole.on):
        whole.turn_off()
        say("Cells run here. %clouditia auto on sends them to the current session.")
        return
    whole.turn_on()
    try:
        where = f"in session {resolve.label(context.connection.session())}"
    except (SessionNotFoundError, SessionStateError) as error:
        where = f"in the current session, once there is one ({str(error).rstrip('.')})"
    say(
        f"Every following cell runs {where}. %%local on its first line runs a cell here, "
        "%clouditia auto off all of them."
    )


def balance(context: Context, arguments: Namespace) -> Balance:
    """Return the credit that is left."""
    credit = context.connection.open().get_balance()
    return Balance(credit["balance"], credit["currency"])


def queue(context: Context, arguments: Namespace) -> pd.DataFrame | None:
    """Return the tickets, or the attempts of one; or cancel one."""
    from clouditia_jupyter.notebook import frames

    manager = context.connection.open()
    tickets = manager.list_queue_jobs(status=arguments.status)
    if arguments.action == "list":
        return frames.queue(tickets)
    if not arguments.ticket:
        raise UsageError(f"%clouditia queue {arguments.action} needs the id of a ticket")
    ticket = resolve.ticket(tickets, arguments.ticket)
    if arguments.action == "cancel":
        manager.cancel_queue_job(ticket.queue_id, verbose=False)
        say(f"Ticket {ticket.queue_id[:8]} is cancelled.")
        return None
    answer: dict[str, Any] = manager.get_queue_job(ticket.queue_id)
    job = answer["job"]
    place = f", place {job.position}" if job.position else ""
    made = f", session {job.created_session_id[:8]}" if job.created_session_id else ""
    asked = wanted(job.gpu_config)
    say(f"Ticket {job.queue_id[:8]}: {job.status}{place}{made}, asks for {asked}")
    return frames.attempts(answer["attempts"])


def panel(context: Context, arguments: Namespace) -> Panel:
    """Return the control panel."""
    from clouditia_jupyter.notebook.panel.panel import open_panel

    return open_panel(context.shell, context.connection.settings, context.connection)


def key(context: Context, arguments: Namespace) -> None:
    """Make a session key; show it masked, hand it over only on request."""
    session = context.connection.session(arguments.session)
    made = context.connection.open().generate_sdk_key(session.id, name=arguments.name)
    if arguments.to:
        context.shell.user_ns[arguments.to] = made
    shown = made if arguments.show else masked(made)
    kept = f", in the variable {arguments.to}" if arguments.to else ""
    hint = (
        ""
        if arguments.show or arguments.to
        else (" It is not kept: --to NAME puts one into a variable, --show shows it whole.")
    )
    say(f"Key for {resolve.label(session)}: {shown}{kept}.{hint}")
