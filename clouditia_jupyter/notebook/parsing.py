"""From a magic's line to a command and its arguments."""

from __future__ import annotations

import argparse
import re
import shlex
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NoReturn

from IPython.core.error import UsageError

from clouditia_jupyter.notebook.commands import BY_NAME, COMMANDS, RUN, Command, overview

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class HelpAsked(Exception):  # noqa: N818  (no error: it carries the help to whoever shows it)
    """The line asks for help; the message is the help."""


class MagicParser(argparse.ArgumentParser):
    """A parser that never prints and never exits: bad arguments are a ``UsageError``."""

    def __init__(self, command: Command) -> None:
        super().__init__(
            prog=command.magic,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.",
            add_help=False,
            allow_abbrev=False,
        )
        for argument in command.arguments:
            self.add_argument(*argument.names, help=argument.help, **argument.settings)
        self.add_argument("-h", "--help", action=_HelpAction, help="show this")

    def error(self, message: str) -> NoReturn:
        """Raise exactly ``UsageError``: IPython shortens no subclass of it."""
        raise UsageError(f"{message}. See {self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Never exit: the process is the user's kernel."""
        self.error(message or "bad arguments")

    def parse(self, words: Sequence[str]) -> argparse.Namespace:
        """Return the arguments that ``words`` give; unknown ones are refused with near names."""
        arguments, unknown = self.parse_known_args(_with_negative_values(words))
        if unknown:
            known = [flag for action in self._actions for flag in action.option_strings]
            flag = unknown[0].partition("=")[0]
            self.error(f"{unknown[0]} means nothing here{did_you_mean(flag, known)}")
        return arguments


def _with_negative_values(words: Sequence[str]) -> list[str]:
    """Return ``--limit -5m`` as one word: argparse would take the value for an option."""
    joined: list[str] = []
    for word in words:
        if re.match(r"-\d", word) and joined and re.fullmatch(r"--[a-z-]+", joined[-1]):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


class _HelpAction(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        raise HelpAsked(parser.format_help().rstrip())


def near(word: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """Return those of ``known`` that ``word`` may have been meant as, nearest first."""
    from difflib import get_close_matches

    by_folded = {name.lower(): name for name in known}
    return [by_folded[m] for m in get_close_matches(word.lower(), by_folded, n=most, cutoff=0.6)]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``, perhaps you mean …`` or nothing, to put behind a statement."""
    matches = near(word, known)
    return f", perhaps you mean {' or '.join(matches)}" if matches else ""


@cache
def parser_of(command: Command) -> MagicParser:
    """Return the parser of a command; made once."""
    return MagicParser(command)


def parse_line(line: str) -> tuple[Command, argparse.Namespace]:
    """Return the command that a ``%clouditia`` line names, and its arguments.

    Raises
    ------
    UsageError
        If the line names no command, or its arguments are bad.
    HelpAsked
        If it asks for help.
    """
    words = _split(line)
    first = words[0] if words else "status"
    if first in ("-h", "--help", "help", "?"):
        if len(words) > 1 and words[1] in BY_NAME:
            raise HelpAsked(parser_of(BY_NAME[words[1]]).format_help().rstrip())
        raise HelpAsked(overview())
    names = [command.name for command in COMMANDS]
    if first not in names:
        raise UsageError(
            f"%clouditia has no command {first!r}{did_you_mean(first, names)}. "
            "See %clouditia --help"
        )
    return BY_NAME[first], parser_of(BY_NAME[first]).parse(words[1:])


@lru_cache(maxsize=256)
def parse_run(line: str) -> argparse.Namespace:
    """Return the arguments of a ``%%clouditia_run`` line; to be read only, as they are kept.

    ``input`` and ``output`` are dicts as :mod:`~clouditia_jupyter.notebook.arguments` makes them.
    """
    arguments = parser_of(RUN).parse(_split(line))
    for name in ("input", "output"):
        pairs = getattr(arguments, name) or []
        setattr(arguments, name, {k: v for given in pairs for k, v in given.items()})
    return arguments


def _split(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        raise UsageError(f"a quote is opened and not closed in {line.strip()!r}") from None
