"""IPython as the executor of cells, with its outputs turned into events."""

from __future__ import annotations

import asyncio
import contextvars
import importlib.util
import os
import pdb
import sys
import tempfile
from pathlib import Path
from typing import Any

from IPython.core import debugger
from IPython.core.autocall import ExitAutocall, ZMQExitAutocall
from IPython.core.compilerop import CachingCompiler
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.utils.tokenutil import token_at_cursor
from traitlets import default
from traitlets.config import Config

from clouditia_jupyter.client.agent.remote.names import murmur2
from clouditia_jupyter.failures import TellsFailures

_INLINE = "module://matplotlib_inline.backend_inline"
#: A widget that no front end can reach would show as an error: its text shows instead.
#: What matplotlib draws with that needs no window.
_NO_WINDOW = (None, "inline", "agg", "nbagg", "notebook", "webagg", "widget", "ipympl", "asyncio")
#: Of ipykernel's magics those that show, where the session has it; it takes a while to load.
_KERNEL_MAGICS = (
    "autosave",
    "clear",
    "connect_info",
    "less",
    "man",
    "more",
    "qtconsole",
    "subshell",
)
_WIDGET = "application/vnd.jupyter.widget-view+json"


class ZMQShellDisplayHook(DisplayHook):
    """Sends a cell's last expression."""

    outbox: Any = None
    _content: dict[str, Any] | None = None

    @property
    def shows(self) -> bool:
        """Whether it is about to send something."""
        return self._content is not None

    def start_displayhook(self) -> None:
        self._content = {}

    def write_output_prompt(self) -> None:
        assert self._content is not None
        self._content["execution_count"] = self.prompt_count

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        assert self._content is not None
        self._content.update(data=format_dict, metadata=md_dict or {})

    def finish_displayhook(self) -> None:
        content, self._content = self._content, None
        if content and content.get("data"):
            content["data"] = _told(content["data"])
            self.outbox.event("execute_result", content)


class ZMQDisplayPublisher(DisplayPublisher):
    """Sends what is displayed."""

    outbox: Any = None

    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: bool = False,
        **kwargs: Any,
    ) -> None:
        more = {"metadata": metadata or {}, "transient": transient or {}}
        content = {"data": _told(data), **more}
        self.outbox.event("update_display_data" if update else "display_data", content)

    def clear_output(self, wait: bool = False) -> None:
        self.outbox.event("clear_output", {"wait": wait})


class _Compiler(CachingCompiler):
    """Names cells as a notebook's kernel does: warnings and tracebacks show the name."""

    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        mark = murmur2(raw_code.encode("utf-8", "replace"))
        return str(Path(tempfile.gettempdir()) / f"ipykernel_{os.getpid()}" / f"{mark}.py")


class _Kernel:
    """What libraries look for to know a notebook: that the shell has a kernel."""

    implementation = "ipython"

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.comm_manager = _NoComms()


class _NoComms:
    """Takes what libraries register for messages of a front end: none come."""

    def __init__(self) -> None:
        self.targets: dict[str, Any] = {}

    def register_target(self, name: str, handler: Any) -> None:
        self.targets[name] = handler

    def unregister_target(self, name: str, handler: Any) -> Any:
        return self.targets.pop(name)

    def get_comm(self, comm_id: str) -> None:
        return None


# libraries know a notebook by this name
class ZMQInteractiveShell(TellsFailures):
    """IPython that sends its outputs to the broker."""

    __module__ = "ipykernel.zmqshell"
    outbox: Any = None
    interrupts: Any = None
    ended = False
    keepkernel_on_exit: Any = None
    display_failed = False

    def __init__(self, **options: Any) -> None:
        self.payloads: list[dict[str, Any]] = []
        super().__init__(**options)  # type: ignore[no-untyped-call]
        self.kernel = _Kernel(self)
        self.set_hook("show_in_pager", self._page, 0)  # type: ignore[no-untyped-call]

    def init_displayhook(self) -> None:
        super().init_displayhook()  # type: ignore[no-untyped-call]
        hook: Any = self.displayhook
        hook.outbox = self.outbox

    def init_display_pub(self) -> None:
        super().init_display_pub()  # type: ignore[no-untyped-call]
        publisher: Any = self.display_pub
        publisher.outbox = self.outbox

    @default("exiter")
    def _default_exiter(self) -> ExitAutocall:
        return ZMQExitAutocall(self)  # type: ignore[no-untyped-call]

    def enable_gui(self, gui: Any = None) -> None:
        if gui not in _NO_WINDOW:
            raise NotImplementedError(f"No window can be shown from here: {gui!r} has no use.")

    def ask_exit(self) -> None:
        self.ended = not self.keepkernel_on_exit

    def set_next_input(self, s: Any, replace: bool = False) -> None:
        self.payloads.append({"source": "set_next_input", "text": s, "replace": replace})

    def _page(self, shell: Any, text: Any, start: int = 0, screen_lines: int = 0) -> None:
        data = text if isinstance(text, dict) else {"text/plain": text}
        self.payloads.append({"source": "page", "data": data, "start": max(0, start)})

    def _showtraceback(self, etype: Any, evalue: Any, stb: Any) -> None:
        content = {"ename": etype.__name__, "evalue": str(evalue), "traceback": list(stb)}
        if self.failing:
            content["final"] = True
        elif getattr(self.displayhook, "shows", False):  # the user's code may replace it
            self.display_failed = True
        self.outbox.event("error", content)

    def _get_exc_info(self, exc_tuple: Any = None) -> Any:
        etype, value, tb = super()._get_exc_info(exc_tuple)  # type: ignore[no-untyped-call]
        if self.interrupts.came:
            if issubclass(etype, asyncio.CancelledError):
                etype, value = KeyboardInterrupt, KeyboardInterrupt()
            _cut(tb, type(self.interrupts).handle.__code__)
        return etype, value, tb


class Shell:
    """The one shell of the process, as the command loop sees it.

    Attributes
    ----------
    ended
        Whether a cell has said ``exit``.
    """

    def __init__(self, shell: Any, outbox: Any) -> None:
        self.context = contextvars.copy_context()
        self._shell, self._outbox = shell, outbox
        self._error: BaseException | None = None

    @classmethod
    def make(cls, outbox: Any, interrupts: Any) -> Shell:
        """Return the shell, with figures inline where matplotlib may come."""
        if importlib.util.find_spec("matplotlib_inline"):
            os.environ.setdefault("MPLBACKEND", _INLINE)
        config = Config()
        config.HistoryManager.hist_file = ":memory:"
        config.IPCompleter.use_jedi = False
        ZMQInteractiveShell.outbox, ZMQInteractiveShell.interrupts = outbox, interrupts
        shell: Any = ZMQInteractiveShell.instance(
            config=config,
            compiler_class=_Compiler,
            displayhook_class=ZMQShellDisplayHook,
            display_pub_class=ZMQDisplayPublisher,
        )
        shell.extension_manager.load_extension("storemagic")
        for name in _KERNEL_MAGICS if importlib.util.find_spec("ipykernel") else ():
            shell.magics_manager.register_lazy(name, f"{__package__}.kernel_magics")
        plain: Any = pdb
        plain.Pdb, plain.set_trace = debugger.Pdb, debugger.set_trace
        return cls(shell, outbox)

    @property
    def ended(self) -> bool:
        """Whether a cell has said ``exit``."""
        return bool(self._shell.ended)

    @property
    def namespace(self) -> dict[str, Any]:
        """The variables of the cells."""
        names: dict[str, Any] = self._shell.user_ns
        return names

    async def run(self, command: dict[str, Any]) -> tuple[bool, int | None]:
        """Run a cell; return whether it succeeded, and its number."""
        shell, code = self._shell, command["code"]
        options = {"silent": command["silent"], "store_history": command["store_history"]}
        count = shell.execution_count
        shell.display_failed, shell.payloads = False, []
        problem = None
        try:
            transformed = shell.transform_cell(code)
        except Exception:
            transformed, problem = code, sys.exc_info()
        more = {"transformed_cell": transformed, "preprocessing_exc_tuple": problem}
        if shell.should_run_async(code, **more):
            result = await shell.run_cell_async(code, **options, **more)
            shell.events.trigger("post_execute")
            if not command["silent"]:
                shell.events.trigger("post_run_cell", result)
        else:
            result = self.context.run(shell.run_cell, code, **options)
        for payload in shell.payloads:
            self._outbox.event("payload", payload)
        self._error = result.error_before_exec or result.error_in_exec
        return result.success and not shell.display_failed, count

    def failure(self) -> dict[str, str]:
        """Return the name and the message of what the last cell failed with, if it did."""
        error = self._error
        return {} if error is None else {"ename": type(error).__name__, "evalue": _message(error)}

    def complete(self, code: str, cursor: int) -> dict[str, Any]:
        """Return what a Jupyter completion reply says."""
        with provisionalcompleter():
            raw = self._shell.Completer.completions(code, cursor)
            found = list(rectify_completions(code, raw))
        kinds = [{"start": c.start, "end": c.end, "text": c.text, "type": c.type} for c in found]
        return {
            "matches": [c.text for c in found],
            "cursor_start": found[0].start if found else cursor,
            "cursor_end": found[0].end if found else cursor,
            "metadata": {"_jupyter_types_experimental": kinds},
            "status": "ok",
        }

    def inspect(self, code: str, cursor: int, detail: int) -> dict[str, Any]:
        """Return what a Jupyter inspection reply says."""
        name = token_at_cursor(code, cursor)
        try:
            data = self._shell.object_inspect_mime(name, detail_level=detail)
        except KeyError:
            data = {}
        return {"found": bool(data), "data": data, "metadata": {}, "status": "ok"}


def _told(data: Any) -> Any:
    """Return what a front end can make something of."""
    if isinstance(data, dict) and _WIDGET in data and len(data) > 1:
        return {kind: shown for kind, shown in data.items() if kind != _WIDGET}
    return data


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return ""


def _cut(tb: Any, code: Any) -> None:
    """Leave our own frame at an interrupt's end out of what a traceback shows."""
    while tb is not None and tb.tb_next is not None:
        if tb.tb_next.tb_frame.f_code is code:
            tb.tb_next = None
        tb = tb.tb_next
