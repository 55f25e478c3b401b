"""How the arguments of commands are read: each function takes a word and returns its value.

They raise :class:`argparse.ArgumentTypeError`, which the parser turns into a ``UsageError``.
"""

from __future__ import annotations

import ast
import re
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import suppress

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def count(text: str) -> int:
    """Return a whole number, 1 or above."""
    try:
        number = int(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a whole number, not {text!r}") from None
    if number < 1:
        raise ArgumentTypeError(f"must be 1 or more, not {number}")
    return number


def amount(text: str) -> float:
    """Return an amount of money above 0, in EUR."""
    try:
        number = float(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a number of EUR, not {text!r}") from None
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"must be above 0, not {text}")
    return number


def duration(text: str) -> int:
    """Return whole seconds: ``3600``, ``90m``, ``1.5h``, ``1h30m``, ``2d``."""
    word = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", word):
        word += "s"
    if not re.fullmatch(r"(\d+(\.\d+)?[smhd])+", word):
        raise ArgumentTypeError(f"must be a time such as 3600, 90m or 2h, not {text!r}")
    parts = re.findall(r"([\d.]+)([smhd])", word)
    seconds = round(sum(float(number) * _UNITS[unit] for number, unit in parts))
    if seconds < 1:
        raise ArgumentTypeError(f"must be 1 second or more, not {text!r}")
    return seconds


def gpu(text: str) -> tuple[str, int | None]:
    """Return slug and count of ``SLUG``, ``SLUG=COUNT`` or ``SLUG:COUNT``; None is no count."""
    slug, mark, number = text.replace(":", "=").partition("=")
    if not slug.strip():
        raise ArgumentTypeError(f"must begin with a GPU type, not {text!r}")
    return slug.strip(), count(number) if mark else None


def name(text: str) -> str:
    """Return a name that is not empty."""
    if not text.strip():
        raise ArgumentTypeError("must not be empty")
    return text.strip()


def variable(text: str) -> str:
    """Return the name of a Python variable."""
    if not text.isidentifier():
        raise ArgumentTypeError(f"must be the name of a variable, not {text!r}")
    return text


def inputs(text: str) -> dict[str, str]:
    """Return expressions by remote name: ``a,b=f(x, 1)`` is ``{"a": "a", "b": "f(x, 1)"}``."""
    pairs: dict[str, str] = {}
    for item in _items(text):
        if isinstance(item, ast.keyword) and item.arg is not None:
            pairs[item.arg] = ast.unparse(item.value)
        elif isinstance(item, ast.Name):
            pairs[item.id] = item.id
        elif isinstance(item, ast.expr) and not isinstance(item, ast.Starred):
            raise ArgumentTypeError(f"{ast.unparse(item)!r} needs a name: name={ast.unparse(item)}")
        else:
            raise ArgumentTypeError(f"must be like a,b=expression, not {text!r}")
    if not pairs:
        raise ArgumentTypeError("names no variable")
    return pairs


def _items(text: str) -> Iterator[ast.expr | ast.keyword]:
    """Cut a list at those commas that stand between two arguments of a call, in any order."""
    if not text.strip():
        return
    start = ""
    # one comma at the end is none between two
    for piece in text.strip().removesuffix(",").split(","):
        start = f"{start},{piece}" if start else piece
        if not start.strip():
            raise ArgumentTypeError(f"must be like a,b=expression, not {text!r}")
        with suppress(SyntaxError):
            call = ast.parse(f"_({start})", mode="eval").body
            assert isinstance(call, ast.Call)
            yield from call.args
            yield from call.keywords
            start = ""
    if start:
        raise ArgumentTypeError(f"must be like a,b=expression, not {text!r}")


def outputs(text: str) -> dict[str, str]:
    """Return remote names by local name: ``c,d=name`` is ``{"c": "c", "d": "name"}``."""
    pairs = inputs(text)
    for remote in pairs.values():
        if not remote.isidentifier():
            raise ArgumentTypeError(f"brings back variables by name, and {remote!r} is no name")
    return pairs


def sessions(text: str) -> tuple[str, ...]:
    """Return the sessions that are named: ``all``, or ``a,b,c`` with none of them twice."""
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise ArgumentTypeError(f"must be all, or sessions such as a,b,c, not {text!r}")
    for word in words:
        if words.count(word) > 1:
            raise ArgumentTypeError(f"names {word} twice")
    if "all" in words and len(words) > 1:
        raise ArgumentTypeError("must be all, or sessions such as a,b,c; not both")
    return words


def session_status(text: str) -> str:
    """Return a status that a session can have."""
    from clouditia_jupyter.models import SESSION_STATUSES

    return _one_of(text, SESSION_STATUSES)


def queue_status(text: str) -> str:
    """Return a status that a ticket can have."""
    from clouditia_jupyter.models import QUEUE_STATUSES

    return _one_of(text, QUEUE_STATUSES)


def _one_of(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise ArgumentTypeError(f"must be one of {', '.join(known)}, not {text!r}")
    return text
