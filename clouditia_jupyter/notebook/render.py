"""What a remote run shows: each event of its log as the local output that a local cell would give.

In a notebook an event becomes the message of the same type; in a terminal, text.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.notebook.output import has_front_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.models import Event
    from clouditia_jupyter.notebook.comms import Widgets

Content = dict[str, Any]

#: Events by which widgets come to be, change and go.
COMMS = frozenset({"comm_open", "comm_msg", "comm_close", "comm_target"})
_VIEW = "application/vnd.jupyter.widget-view+json"
#: What a cell begins with that a remote cell writes.
_FIRST_LINE = "%%clouditia_run\n"


class Renderer:
    """Shows events in the cell that runs now.

    Parameters
    ----------
    shell
        The local IPython.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._run: EventStream | None = None
        self._printed = False
        self._show: dict[str, Callable[[Content], None]] = {
            "stream": self._stream,
            "display_data": self._display,
            "update_display_data": self._update,
            "execute_result": self._result,
            "clear_output": self._clear,
            "error": self._error,
            "payload": self._payload,
        }

    @property
    def shell(self) -> InteractiveShell:
        """The local IPython."""
        return self._shell

    def show(self, event: Event) -> None:
        """Show one event; types that have no output of their own (``done``) pass."""
        shown = self._show.get(event.type)
        if shown is not None:
            if self._run is not None and _VIEW in (event.content.get("data") or ()):
                # made for an earlier notebook, perhaps
                view = event.content["data"][_VIEW]
                self._widgets().adopt(str(view.get("model_id")), self._run)
            shown(event.content)

    @contextmanager
    def showing(self, stream: EventStream) -> Iterator[None]:
        """Take the events of this run meanwhile, for the cell that runs now."""
        self._run = stream
        if not has_front_end(self._shell):
            yield
            return
        with self._widgets().showing(stream.run_id):
            yield

    def relay(self, event: Event, stream: EventStream) -> None:
        """Show what a widget's message changes, and let the user change it from here."""
        self._flush()
        self._widgets().relay(event, stream)

    def refresh(self, stream: EventStream) -> None:
        """Show what has become of the widgets of a run that was shown again."""
        self._widgets().refresh(stream)

    def _widgets(self) -> Widgets:
        from clouditia_jupyter.notebook.comms import widgets_of

        return widgets_of(self._shell)

    def _flush(self) -> None:
        """Send what was printed: it belongs before what comes next."""
        if self._printed:  # each flush waits for another thread
            self._printed = False
            sys.stdout.flush()
            sys.stderr.flush()

    def _stream(self, content: Content) -> None:
        # the names are looked up each time: %%capture and contextlib replace them
        stream: Any = getattr(sys, "stderr" if content.get("name") == "stderr" else "stdout")
        stream.write(content["text"])
        self._printed = True
        if stream in (sys.__stdout__, sys.__stderr__):
            stream.flush()  # a terminal shows a progress bar's half lines at once

    def _display(self, content: Content, *, update: bool = False) -> None:
        self._flush()
        self._shell.display_pub.publish(
            data=content.get("data") or {},
            metadata=content.get("metadata") or {},
            transient=content.get("transient") or None,
            update=update,
        )

    def _update(self, content: Content) -> None:
        self._display(content, update=True)

    def _clear(self, content: Content) -> None:
        publisher: Any = self._shell.display_pub
        publisher.clear_output(wait=bool(content.get("wait")))

    def _error(self, content: Content) -> None:
        """Show a traceback after which the cell goes on."""
        hook: Any = self._shell.displayhook
        if not hasattr(hook, "pub_socket"):
            sys.stdout.write("\n".join([*content["traceback"], ""]))
            return
        sys.stdout.flush()
        sys.stderr.flush()
        told = {name: content[name] for name in ("ename", "evalue", "traceback")}
        hook.session.send(hook.pub_socket, "error", told, hook.parent_header)

    def _payload(self, content: Content) -> None:
        """Do what the code asks of the front end: open a pager, put a cell below."""
        if content["source"] == "set_next_input":
            self._shell.set_next_input(f"{_FIRST_LINE}{content['text']}", content["replace"])
        elif content["source"] != "page":
            return  # such as to end the local kernel
        elif has_front_end(self._shell):
            front_end: Any = self._shell.payload_manager
            front_end.write_payload(content)
        else:
            from IPython.core.page import page

            page(content["data"], content["start"])

    def _result(self, content: Content) -> None:
        data, metadata = content.get("data") or {}, content.get("metadata") or {}
        hook: Any = sys.displayhook
        if hasattr(hook, "write_format_data"):
            # IPython's own steps for Out[n], without the one that would format an object here
            hook.start_displayhook()
            hook.write_output_prompt()
            hook.write_format_data(data, metadata)
            hook.finish_displayhook()
        elif isinstance(outputs := getattr(hook, "outputs", None), list):  # %%capture
            outputs.append({"data": data, "metadata": metadata})
        else:
            self._display(content)
