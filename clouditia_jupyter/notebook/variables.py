"""Variables there and back: ``push``, ``pull``, and what ``-o`` of a cell brings."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from clouditia_jupyter.notebook.arguments import inputs, outputs
from clouditia_jupyter.notebook.outcome import explained
from clouditia_jupyter.notebook.output import say
from clouditia_jupyter.notebook.parcel import Packer
from clouditia_jupyter.notebook.resolve import label

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping, Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.notebook.actions import Context


def push(context: Context, arguments: Namespace) -> None:
    """Send variables to a session: all of them, or none."""
    packer = Packer(context.shell, _pairs(arguments.names, inputs))
    session, live = context.connection.live(arguments.session)
    with explained(context.connection, session):
        values = packer.pack(session, live).values
        live.push_all(values)
    say(f"Sent {', '.join(values)} to {label(session)}.")


def pull(context: Context, arguments: Namespace) -> None:
    """Bring variables back from a session: all of them, or none."""
    pairs = _pairs(arguments.names, outputs)
    session, live = context.connection.live(arguments.session)
    with explained(context.connection, session):
        bring_back(context.shell, live, pairs, trust_pickle=arguments.trust_pickle)
    say(f"Brought {', '.join(pairs)} from {label(session)}.")


def bring_back(
    shell: InteractiveShell, live: LiveSession, pairs: Mapping[str, str], *, trust_pickle: bool
) -> None:
    """Bind variables of a session, by local name, in the user's namespace.

    Raises
    ------
    ValueTransferError
        If one of them cannot come; then none does.
    """
    shell.user_ns.update(brought(live, pairs, trust_pickle=trust_pickle))


def brought(live: LiveSession, pairs: Mapping[str, str], *, trust_pickle: bool) -> dict[str, Any]:
    """Return variables of a session by local name; see :func:`bring_back`."""
    if not pairs:
        return {}
    values = live.pull_all(dict.fromkeys(pairs.values()), trust_pickle)
    return {local: values[remote] for local, remote in pairs.items()}


def _pairs(words: Sequence[str], read: Callable[[str], dict[str, str]]) -> dict[str, str]:
    """Return what ``a,b=f(x, 1)`` means, and ``a b`` as well."""
    try:
        return read(" ".join(words))
    except ArgumentTypeError as error:
        if len(words) > 1:
            try:
                return read(",".join(words))
            except ArgumentTypeError:
                pass
        raise UsageError(str(error)) from None
