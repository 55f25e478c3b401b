"""What a remote run shows: each event of its log as the local output that a local cell would give.

In a notebook an event becomes the message of the same type; in a terminal, text.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.models import Event

Content = dict[str, Any]

#: Events by which widgets come to be, change and go.
COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})


class Renderer:
    """Shows events in the cell that runs now.

    Parameters
    ----------
    shell
        The local IPython.
    """

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._show: dict[str, Callable[[Content], None]] = {
            "stream": self._stream,
            "display_data": self._display,
            "update_display_data": self._update,
            "execute_result": self._result,
            "clear_output": self._clear,
        }

    def show(self, event: Event) -> None:
        """Show one event; types that have no output of their own (``error``, ``done``) pass."""
        shown = self._show.get(event.type)
        if shown is not None:
            shown(event.content)

    def relay(self, event: Event, stream: EventStream) -> None:
        """Show what a widget's message changes, and let the user change it from here."""
        from clouditia_jupyter.notebook.comms import widgets_of

        widgets_of(self._shell).relay(event, stream)

    def _stream(self, content: Content) -> None:
        # the names are looked up each time: %%capture and contextlib replace them
        stream: Any = getattr(sys, "stderr" if content.get("name") == "stderr" else "stdout")
        stream.write(content["text"])
        if stream in (sys.__stdout__, sys.__stderr__):
            stream.flush()  # a terminal shows a progress bar's half lines at once

    def _display(self, content: Content, *, update: bool = False) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
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
