"""The one table of commands: it feeds parsing, help and completion.

A command is data. The function that carries it out has its name, in
:mod:`clouditia_jupyter.notebook.actions`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from clouditia_jupyter.notebook import arguments

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What the values of an argument are names of, for completion.
Offers = Literal["", "gpu", "live session", "run", "session", "ticket", "variable"]


@dataclass(frozen=True, eq=False)
class Argument:
    """One option or positional argument.

    Attributes
    ----------
    names
        Flags, or the one name of a positional argument.
    help
        One phrase.
    settings
        Further arguments of ``ArgumentParser.add_argument``.
    offers
        What its values are names of.
    """

    names: tuple[str, ...]
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    offers: Offers = ""


@dataclass(frozen=True, eq=False)
class Command:
    """One command.

    Attributes
    ----------
    name
        The word after ``%clouditia``, or the whole name of a magic of its own.
    summary
        One line for the overview.
    arguments
        In the order of the help.
    """

    name: str
    summary: str
    arguments: tuple[Argument, ...] = ()

    @property
    def magic(self) -> str:
        """What a user types."""
        return self.name if self.name.startswith("%") else f"%clouditia {self.name}"


def _arg(*names: str, help: str, offers: Offers = "", **settings: Any) -> Argument:  # noqa: A002
    return Argument(names, help, settings, offers)


def _flag(*names: str, help: str) -> Argument:  # noqa: A002
    return Argument(names, help, {"action": "store_true"})


_WHICH = "name, id or beginning of an id; the current session by default"
_SESSION = _arg("session", nargs="?", metavar="SESSION", offers="session", help=_WHICH)
_LIVE_SESSION = _arg("session", nargs="?", metavar="SESSION", offers="live session", help=_WHICH)
_OF_SESSION = _arg("--session", metavar="SESSION", offers="session", help=_WHICH)
_IN_SESSION = _arg("--session", metavar="SESSION", offers="live session", help=_WHICH)
_SOME_RUN = _arg(
    "run",
    nargs="?",
    metavar="RUN",
    offers="run",
    help="beginning of its id; the newest unfinished one by default, else the newest",
)
_TRUST_PICKLE = _flag(
    "--trust-pickle", help="unpickle what comes back; that runs code of the session's choice here"
)
_YES = _flag("-y", "--yes", help="do not ask for confirmation")

COMMANDS: tuple[Command, ...] = (
    Command("status", "which platform and account, what is running and what it costs"),
    Command("panel", "the control panel: all of this by button, live beside the work"),
    Command("inventory", "the GPUs on offer, with prices, as a DataFrame"),
    Command(
        "create",
        "rent a machine and make it the current session",
        (
            _arg(
                "--gpu",
                action="append",
                type=arguments.gpu,
                metavar="SLUG[=COUNT]",
                offers="gpu",
                help="GPU type, and how many of it; may be repeated",
            ),
            _arg("--count", type=arguments.count, metavar="N", help="how many GPUs (default 1)"),
            _arg("--vcpu", type=arguments.count, default=2, metavar="N", help="vCPUs (default 2)"),
            _arg("--ram", type=arguments.count, default=4, metavar="GB", help="memory (default 4)"),
            _arg(
                "--storage",
                type=arguments.count,
                default=20,
                metavar="GB",
                help="disk (default 20)",
            ),
            _arg("--name", type=arguments.name, help="a name to find it by"),
            _arg(
                "--cost-limit",
                type=arguments.amount,
                metavar="EUR",
                help="stop when it has cost this",
            ),
            _arg(
                "--duration-limit",
                type=arguments.duration,
                metavar="TIME",
                help="stop after this time: 3600, 90m, 2h",
            ),
            _flag("--partial", help="take what is available of the GPUs asked for"),
            _flag("--queue", help="wait in the queue where they are not available"),
            _flag("--no-wait", help="return before the session is ready"),
            _arg(
                "--timeout",
                type=arguments.duration,
                default=180,
                metavar="TIME",
                help="how long to wait until it is ready (default 180)",
            ),
            _YES,
        ),
    ),
    Command(
        "use",
        "make a session the current one",
        (
            _arg(
                "session",
                metavar="SESSION",
                offers="live session",
                help="its name, id or beginning",
            ),
        ),
    ),
    Command(
        "sessions",
        "your sessions as a DataFrame",
        (
            _arg(
                "--status",
                type=arguments.session_status,
                metavar="STATUS",
                help="only those in this state",
            ),
        ),
    ),
    Command("show", "one session in full", (_SESSION,)),
    Command(
        "runs",
        "the cells that ran in a session, as a DataFrame",
        (_OF_SESSION, _flag("--all", help="in every session, also those that have ended")),
    ),
    Command(
        "attach",
        "show a run from its beginning, and go on live; an interrupt only detaches",
        (_SOME_RUN, _OF_SESSION),
    ),
    Command(
        "cancel",
        "interrupt a run",
        (
            _arg("run", metavar="RUN", offers="run", help="beginning of its id"),
            _IN_SESSION,
            _flag("--kill", help="kill the kernel that runs it; its variables are gone"),
        ),
    ),
    Command(
        "logs",
        "what a run has printed so far",
        (
            _SOME_RUN,
            _OF_SESSION,
            _arg("--tail", type=arguments.count, metavar="N", help="only the last N lines"),
        ),
    ),
    Command(
        "push",
        "send variables to a session",
        (
            _arg(
                "names",
                nargs="+",
                metavar="a,b=EXPR",
                offers="variable",
                help="names here, or names there and what they are to be",
            ),
            _IN_SESSION,
        ),
    ),
    Command(
        "pull",
        "bring variables back from a session",
        (
            _arg("names", nargs="+", metavar="c,d=NAME", help="names there, or new names for them"),
            _IN_SESSION,
            _TRUST_PICKLE,
        ),
    ),
    Command(
        "rename",
        "give a session another name",
        (
            _arg(
                "names",
                nargs="+",
                metavar="[SESSION] NAME",
                offers="session",
                help="which one (the current session by default), and its new name",
            ),
        ),
    ),
    Command(
        "stop",
        "end a session; its variables and files go with it",
        (_LIVE_SESSION, _flag("--all", help="every session that holds a GPU"), _YES),
    ),
    Command(
        "costs",
        "what sessions have cost so far, as a DataFrame",
        (
            _arg("sessions", nargs="*", metavar="SESSION", offers="session", help="only these"),
            _flag("--active", help="only those that are running"),
        ),
    ),
    Command(
        "auto",
        "send every following cell to the current session, or no longer",
        (
            _arg(
                "state",
                nargs="?",
                choices=("on", "off"),
                help="without it, say which of them it is",
            ),
        ),
    ),
    Command("balance", "the credit that is left"),
    Command(
        "queue",
        "requests that wait for a GPU, as a DataFrame",
        (
            _arg(
                "action",
                nargs="?",
                choices=("list", "show", "cancel"),
                default="list",
                help="list them, show the attempts of one, or cancel one",
            ),
            _arg("ticket", nargs="?", metavar="ID", offers="ticket", help="which one"),
            _arg(
                "--status",
                type=arguments.queue_status,
                metavar="STATUS",
                help="only those in this state",
            ),
        ),
    ),
    Command(
        "key",
        "make an sk_live_ key for a session",
        (
            _LIVE_SESSION,
            _arg("--name", type=arguments.name, default="notebook", help="a label for the key"),
            _flag("--show", help="show it whole"),
            _arg(
                "--to", type=arguments.variable, metavar="VARIABLE", help="put it into a variable"
            ),
        ),
    ),
)

LOCAL = Command("%%local", "run the cell here, also while %clouditia auto is on")

RUN = Command(
    "%%clouditia_run",
    "run the cell in a session, as if it were local",
    (
        _IN_SESSION,
        _arg(
            "--on",
            type=arguments.sessions,
            metavar="all/a,b,c",
            offers="live session",
            help="in several sessions at the same time; what -o brings is a dict by session",
        ),
        _arg(
            "-i",
            "--input",
            action="append",
            type=arguments.inputs,
            metavar="a,b=EXPR",
            offers="variable",
            help="variables to send there first",
        ),
        _arg(
            "-o",
            "--output",
            action="append",
            type=arguments.outputs,
            metavar="c,d=NAME",
            help="variables to bring back afterwards",
        ),
        _TRUST_PICKLE,
        _flag("--auto", help="send variables that the cell uses and the session lacks"),
        _arg(
            "--timeout",
            type=arguments.duration,
            metavar="TIME",
            help="interrupt the cell after this time: 30, 10m",
        ),
        _arg(
            "--max-cost",
            type=arguments.amount,
            metavar="EUR",
            help="interrupt the cell when it has cost this",
        ),
        _flag("--bg", help="return at once; attach shows the output"),
    ),
)

BY_NAME: Mapping[str, Command] = {command.name: command for command in (*COMMANDS, RUN, LOCAL)}


def overview() -> str:
    """Return the help of ``%clouditia``: every command in one line."""
    rows = [(c.magic, c.summary) for c in (*COMMANDS, RUN, LOCAL)]
    width = max(len(magic) for magic, _ in rows)
    lines = [f"  {magic:<{width}}  {summary}" for magic, summary in rows]
    return "\n".join(
        [
            "Rent GPUs and run cells on them.",
            "",
            *lines,
            "",
            "%clouditia alone is %clouditia status. %clouditia create --help shows the options of",
            "create, and so on. $name and {expression} take values from your variables.",
        ]
    )


def described(command: Command) -> str:
    """Return the help of a magic of its own: its summary, and its options in one line each."""
    rows = [
        (f"{', '.join(a.names)} {a.settings.get('metavar', '')}".rstrip(), a.help)
        for a in command.arguments
    ]
    width = max((len(names) for names, _ in rows), default=0)
    lines = ["", *(f"  {names:<{width}}  {text}" for names, text in rows)] if rows else []
    return "\n".join([f"{command.summary[0].upper()}{command.summary[1:]}.", *lines])
