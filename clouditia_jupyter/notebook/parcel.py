"""What a cell takes along: the values of ``-i``, and with ``--auto`` what its session lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from clouditia_jupyter.errors import ValueTransferError
from clouditia_jupyter.notebook.names import needed
from clouditia_jupyter.notebook.output import can_ask, confirmed
from clouditia_jupyter.notebook.parsing import did_you_mean
from clouditia_jupyter.notebook.resolve import label

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.live import LiveSession
    from clouditia_jupyter.models import GPUSession

_MEGA = 1e6


@dataclass(frozen=True)
class Parcel:
    """What goes to one session before the cell's code does.

    Attributes
    ----------
    values
        By the name that each is to have there.
    note
        One line that says what ``--auto`` added; empty where that is nothing.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""


class Packer:
    """Packs for one cell, for as many sessions as it goes to: each value is encoded once.

    Parameters
    ----------
    shell
        The local IPython, whose variables they are.
    pairs
        Expressions by remote name, from ``-i``.
    code
        The cell, with ``--auto``; names in it that a session lacks go along. None adds none.
    limit
        Megabytes above which a value goes along only when it was asked for.

    Raises
    ------
    UsageError
        If ``-i`` names what is not there.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        pairs: Mapping[str, str],
        code: str | None = None,
        limit: float = float("inf"),
    ) -> None:
        self._shell = shell
        self._limit = limit * _MEGA
        self._given = {name: self._evaluated(text) for name, text in pairs.items()}
        self._values: dict[str, Any] = {}
        self._modules: dict[str, str] = {}
        self._packed: dict[str, Any] = {}
        for name in needed(code) if code is not None else ():
            if name not in self._given and self._is_users(name):
                value = shell.user_ns[name]
                if isinstance(value, ModuleType):
                    self._modules[name] = value.__name__
                else:
                    self._values[name] = value

    @property
    def empty(self) -> bool:
        """Whether there is nothing to take along, whichever session it goes to."""
        return not (self._given or self._values or self._modules)

    def _evaluated(self, expression: str) -> Any:
        names = self._shell.user_ns
        if expression.isidentifier() and expression not in names:
            # IPython's own names are no guess worth making
            known = [name for name in names if name not in self._shell.user_ns_hidden]
            raise UsageError(
                f"no variable is called {expression!r} here{did_you_mean(expression, known)}"
            )
        try:
            return eval(expression, self._shell.user_global_ns, names)
        except Exception as error:
            # its traceback would be of our own frames alone
            raise UsageError(f"{expression!r}: {type(error).__name__}: {error}") from None

    def _is_users(self, name: str) -> bool:
        """Return whether a name is the user's: not there, not a builtin's, not IPython's own."""
        if name not in self._shell.user_ns or (name.startswith("__") and name.endswith("__")):
            return False
        hidden = self._shell.user_ns_hidden
        return name not in hidden or hidden[name] is not self._shell.user_ns[name]

    def pack(self, session: GPUSession, live: LiveSession) -> Parcel:
        """Return what goes to a session; with ``--auto``, ask it once what it has.

        Raises
        ------
        ValueTransferError
            If something that it lacks cannot go there, or is too big to go unasked.
        """
        if not (self._values or self._modules):
            return Parcel(self._given)
        found = live.look_up(self._values, self._modules)
        for name, reason in found["failed"].items():
            raise ValueTransferError(
                f"The cell uses {_import(name, self._modules[name])}, which session "
                f"{label(session)} cannot import ({reason}): install it there with "
                "%%clouditia_run and !pip install, or send its file."
            )
        missing = [name for name in self._values if name not in found["present"]]
        values = {name: self._small(name) for name in missing}
        imports = [_import(name, self._modules[name]) for name in found["imported"]]
        parts = [f"sent {', '.join(missing)}"] if missing else []
        parts += [f"imported {', '.join(imports)}"] if imports else []
        note = f"{label(session)}: {'; '.join(parts)}." if parts else ""
        return Parcel({**self._given, **values}, note)

    def seal(self) -> None:
        """Make every value the bytes that go out, for several sessions at once."""
        # what encodes values is heavy
        from clouditia_jupyter.client.transfer import encoded

        self._given = {name: encoded(value) for name, value in self._given.items()}

    def _small(self, name: str) -> Any:
        """Return a value as bytes, unless there are too many of them."""
        if name not in self._packed:
            # what encodes values is heavy
            from clouditia_jupyter.client.transfer import encoded

            value = self._values[name]
            size = _size(value)
            if size <= self._limit:
                try:
                    value = encoded(value)
                except ValueTransferError as error:
                    raise ValueTransferError(f"The cell uses {name}. {error}") from None
                size = value.size
            if size > self._limit:
                self._ask(name, size)
            self._packed[name] = value
        return self._packed[name]

    def _ask(self, name: str, size: float) -> None:
        big = f"{name} is {size / _MEGA:,.0f} MB, more than --auto sends unasked"
        if can_ask(self._shell) and confirmed(f"{big}. Send it?"):
            return
        raise ValueTransferError(
            f"{big}: send it with -i {name}, or set %config ClouditiaMagics.auto_limit to more "
            f"than {self._limit / _MEGA:,.0f} MB."
        )


def _import(name: str, module: str) -> str:
    return module if name == module else f"{module} as {name}"


def _size(value: Any) -> float:
    """Return a value's bytes where it tells them without being encoded; else 0."""
    if type(value).__module__.partition(".")[0] == "pandas" and hasattr(value, "memory_usage"):
        usage = value.memory_usage(deep=True)  # of a DataFrame, that of each column
        return float(getattr(usage, "sum", lambda: usage)())
    size = getattr(value, "nbytes", 0)
    return float(size) if isinstance(size, int) else 0.0
