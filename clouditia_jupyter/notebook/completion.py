"""Tab and Shift-Tab: the magics' own words, and the names that live in the session.

Whoever types gets an answer within 0.3 s or none, and never one that a session had to be created, a
platform started or a key made for.
"""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotInTime
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.completer import CompletionContext, SimpleCompletion, context_matcher

from clouditia_jupyter.errors import ClouditiaError
from clouditia_jupyter.notebook.commands import BY_NAME, COMMANDS, RUN, Argument, Command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.manager import GPUManager
    from clouditia_jupyter.models import GPUSession
    from clouditia_jupyter.notebook.connection import Connection

T = TypeVar("T")

_PATIENCE = 0.3
#: How long names that were fetched are good for, in seconds.
_FRESH = 10.0
_CELL = re.compile(r"\s*%%clouditia_run\b")
_LINE = re.compile(r"\s*%clouditia\s")
_MAGIC = re.compile(r"\s*%{1,2}\w*")
_UNKNOWN: dict[str, Any] = {"status": "ok", "found": False, "data": {}, "metadata": {}}
_NOTHING: dict[str, Any] = {"completions": [], "suppress": False}


class Completion:
    """Completes in one shell, for one connection.

    Parameters
    ----------
    shell
        The local IPython.
    connection
        Returns what the notebook has open; None before its first command.
    sends
        Returns whether a cell goes to the session though it does not say so.
    """

    def __init__(
        self,
        shell: InteractiveShell,
        connection: Callable[[], Connection | None],
        sends: Callable[[str], bool],
    ) -> None:
        self._shell = shell
        self._sends = sends
        self._connection = connection
        self._worker = ThreadPoolExecutor(1, "clouditia-completion")
        self._kept: dict[str, tuple[float, list[str]]] = {}
        self._local_inspect: Any = None

    def install(self) -> None:
        """Answer Tab and Shift-Tab from now on."""
        self._shell.Completer.custom_matchers.append(self.match)
        kernel: Any = getattr(self._shell, "kernel", None)
        if kernel is not None:
            self._local_inspect = kernel.do_inspect
            kernel.do_inspect = self.inspect

    def remove(self) -> None:
        """Leave both as they were."""
        matchers = self._shell.Completer.custom_matchers
        if self.match in matchers:
            matchers.remove(self.match)
        kernel: Any = getattr(self._shell, "kernel", None)
        if self._local_inspect is not None and vars(kernel).get("do_inspect") == self.inspect:
            del kernel.do_inspect
        self._worker.shutdown(wait=False, cancel_futures=True)

    @context_matcher(identifier="clouditia", priority=1000)  # type: ignore[untyped-decorator]
    def match(self, context: CompletionContext) -> dict[str, Any]:
        """Return what could stand at the cursor, for IPython's completer."""
        first, _, body = context.full_text.partition("\n")
        if _CELL.match(first) and context.cursor_line > 0:
            return self._remote(body, _offset(body, context, context.cursor_line - 1))
        before = context.text_until_cursor
        if _CELL.match(before):
            return self._words(before, [RUN])
        if _LINE.match(before):
            return self._words(before, COMMANDS)
        # the name of a magic may still become one of ours
        if self._sends(context.full_text) and not _MAGIC.fullmatch(before):
            return self._remote(context.full_text, _offset(context.full_text, context))
        return _NOTHING

    def inspect(self, code: str, cursor_pos: int, *args: Any, **kwargs: Any) -> Any:
        """Return help on the name at the cursor: from the session, in a cell that runs there."""
        first, newline, body = code.partition("\n")
        start = len(first) + len(newline)
        detail = kwargs.get("detail_level", args[0] if args else 0)
        if _CELL.match(first) and cursor_pos >= start:
            found = self._live(lambda live: live.inspect(body, cursor_pos - start, detail))
            return found or _UNKNOWN
        if self._sends(code):
            return self._live(lambda live: live.inspect(code, cursor_pos, detail)) or _UNKNOWN
        return self._local_inspect(code, cursor_pos, *args, **kwargs)

    def _remote(self, body: str, cursor: int) -> dict[str, Any]:
        found = self._live(lambda live: live.complete(body, cursor))
        if not found or not found.get("matches"):
            # an empty answer cannot keep local names out, the fragment itself can
            word = re.search(r"[\w.]*$", body[:cursor])
            fragment = word.group() if word else ""
            return _result([fragment] if fragment else [], fragment, "remote")
        fragment = body[found["cursor_start"] : cursor]
        kinds = {
            item.get("text"): item.get("type", "remote")
            for item in found.get("metadata", {}).get("_jupyter_types_experimental", ())
        }
        completions = [
            SimpleCompletion(text, type=kinds.get(text, "remote")) for text in found["matches"]
        ]
        return {
            "completions": completions,
            "matched_fragment": fragment,
            "suppress": True,
            "ordered": True,
        }

    def _live(self, ask: Callable[[Any], T | None]) -> T | None:
        connection = self._connection()
        live = None if connection is None else connection.live_now()
        return None if live is None else self._soon(lambda: ask(live))

    def _words(self, before: str, commands: Iterable[Command]) -> dict[str, Any]:
        words = before.split()
        fragment = "" if before.endswith((" ", "\t")) else words.pop()
        done = words[1:]
        if words and words[0].startswith("%%"):
            command: Command | None = RUN
        elif not words:  # the magic's own name is still being typed
            return _NOTHING
        elif not done:
            return _result([c.name for c in commands] + ["--help"], fragment, "command")
        else:
            command = BY_NAME.get(done.pop(0))
        if command is None:
            return _NOTHING
        flags = {flag: a for a in command.arguments for flag in a.names if flag[0] == "-"}
        last = flags.get(done[-1]) if done else None
        if last is not None and last.settings.get("action") != "store_true":
            # in a list, what is behind the last comma
            before, comma, _ = fragment.rpartition(",")
            offered = [f"{before}{comma}{word}" for word in self._offered(last)]
            return _result(offered, fragment, "value")
        places = [a for a in command.arguments if a.names[0][0] != "-"]
        options = [*sorted(set(flags) - set(done)), "--help"] if fragment[:1] in ("", "-") else []
        return _result([o for a in places for o in self._offered(a)] + options, fragment, "option")

    def _offered(self, argument: Argument) -> list[str]:
        if argument.settings.get("choices"):
            return list(argument.settings["choices"])
        if argument.offers == "variable":
            hidden = self._shell.user_ns_hidden
            return [name for name in self._shell.user_ns if name not in hidden]
        fetch = _FETCH.get(argument.offers)
        connection = self._connection()
        if connection is None or fetch is None:
            return []
        source = connection.live_now() if argument.offers == "run" else connection.manager_now()
        if source is None:
            return []
        when, names = self._kept.get(argument.offers, (0.0, []))
        if time.monotonic() - when > _FRESH:
            fetched = self._soon(lambda: fetch(source))
            if fetched is not None:
                names = fetched
                self._kept[argument.offers] = (time.monotonic(), names)
        return names

    def _soon(self, ask: Callable[[], T]) -> T | None:
        """Return the answer if it comes in time and is one."""
        try:
            return self._worker.submit(ask).result(_PATIENCE)
        except (NotInTime, ClouditiaError, RuntimeError):
            return None


def _offset(text: str, context: CompletionContext, line: int | None = None) -> int:
    """Return where the cursor is in ``text``, whose line it is on may have another number."""
    number = context.cursor_line if line is None else line
    return sum(len(above) + 1 for above in text.split("\n")[:number]) + context.cursor_position


def _result(words: Iterable[str], fragment: str, kind: str) -> dict[str, Any]:
    fitting = dict.fromkeys(word for word in words if word.startswith(fragment))
    return {
        "completions": [SimpleCompletion(word, type=kind) for word in fitting],
        "matched_fragment": fragment,
        "suppress": True,
        "ordered": True,
    }


def _sessions(manager: GPUManager) -> list[str]:
    return _words_of(manager.list_sessions())


def _live_sessions(manager: GPUManager) -> list[str]:
    # loads long enough to be felt with the extension
    from clouditia_jupyter.models import LIVE_STATUSES

    return _words_of(s for s in manager.list_sessions() if s.status in LIVE_STATUSES)


def _words_of(sessions: Iterable[GPUSession]) -> list[str]:
    return [word for session in sessions for word in (session.name, session.short_id) if word]


_FETCH: dict[str, Callable[[Any], list[str]]] = {
    "run": lambda live: [run["run_id"][:8] for run in live.runs()],
    "gpu": lambda manager: [gpu.gpu_type for gpu in manager.get_inventory()],
    "session": _sessions,
    "live session": _live_sessions,
    "ticket": lambda manager: [job.queue_id[:8] for job in manager.list_queue_jobs()],
}
