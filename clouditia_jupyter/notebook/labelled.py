"""The outputs of several sessions in one cell, each under its session's name.

In a notebook each session has an area for its text, which is updated in place, so that what they
print at the same time does not mix; figures and tables stand below a line with the name. In a
terminal each line begins with the name.
"""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from clouditia_jupyter.notebook.output import has_front_end
from clouditia_jupyter.notebook.screen import Screen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.models import Event

#: Seconds between two updates of the areas, which are sent whole.
REFRESH = 0.1
#: Characters after which a session goes on in another area.
_LARGEST_AREA = 1 << 16
#: There is no one session that a widget's messages could go to.
_WIDGET = "application/vnd.jupyter.widget-view+json"


def outputs_of(shell: InteractiveShell, names: Sequence[str]) -> Labelled:
    """Return what shows the outputs of sessions with these names."""
    return Areas(shell) if has_front_end(shell) else Lines(names)


class Labelled(ABC):
    """Shows events, each under the name of its session."""

    def show(self, name: str, event: Event) -> None:
        """Show one event; types that have no output of their own pass."""
        content = event.content
        if event.type == "stream":
            self.text(name, content["text"], error=content.get("name") == "stderr")
        elif event.type in ("display_data", "execute_result", "update_display_data"):
            data = {k: v for k, v in (content.get("data") or {}).items() if k != _WIDGET}
            display_id = (content.get("transient") or {}).get("display_id")
            update = event.type == "update_display_data"
            self.rich(name, data, content.get("metadata") or {}, display_id, update=update)
        elif event.type == "error":  # after which the cell goes on
            self.text(name, "\n".join([*content["traceback"], ""]))
        elif event.type == "payload" and content.get("source") == "page":
            self.rich(name, content["data"], {}, None, update=False)
        elif event.type == "clear_output":
            self.clear(name, wait=bool(content.get("wait")))

    @abstractmethod
    def text(self, name: str, text: str, *, error: bool = False) -> None:
        """Show a piece of text, which need not be whole lines."""

    @abstractmethod
    def rich(
        self,
        name: str,
        data: dict[str, Any],
        metadata: dict[str, Any],
        display_id: str | None,
        *,
        update: bool,
    ) -> None:
        """Show something in several forms, or replace what has that ``display_id``."""

    @abstractmethod
    def clear(self, name: str, *, wait: bool) -> None:
        """Take away what a session has shown, or do so when it shows the next thing."""

    @abstractmethod
    def refresh(self) -> None:
        """Show all that has come so far."""

    @abstractmethod
    def close(self) -> None:
        """Show what is left, unfinished lines too."""


class Lines(Labelled):
    """Whole lines behind their session's name."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(map(len, names), default=0)
        self._screens: dict[tuple[str, bool], Screen] = {}

    def text(self, name: str, text: str, *, error: bool = False) -> None:
        screen = self._screens.setdefault((name, error), Screen())
        screen.write(text)
        self._write(name, screen.take(), error)

    def rich(
        self,
        name: str,
        data: dict[str, Any],
        metadata: dict[str, Any],
        display_id: str | None,
        *,
        update: bool,
    ) -> None:
        self._write(name, f"{data.get('text/plain', '')}\n", error=False)

    def clear(self, name: str, *, wait: bool) -> None:
        pass  # what a terminal has shown stays

    def refresh(self) -> None:
        sys.stdout.flush()

    def close(self) -> None:
        for (name, error), screen in self._screens.items():
            if not screen.fresh:
                screen.write("\n")
                self._write(name, screen.take(), error)

    def _write(self, name: str, lines: str, error: bool) -> None:
        stream = sys.stderr if error else sys.stdout
        for line in lines.splitlines():
            stream.write(f"{name:<{self._width}} | {line}\n")


class Area:
    """A display with the text of one session.

    Attributes
    ----------
    shown
        Whether the front end has it.
    headed
        Whether it begins with the session's name: not behind an output of the same session.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.display_id = uuid4().hex
        self.screen = Screen()
        self.shown = False
        self.headed = True

    @property
    def data(self) -> dict[str, str]:
        """What it shows."""
        head = f"{_head(self.name)}\n" if self.headed else ""
        return {"text/plain": f"{head}{self.screen}".rstrip("\n")}


class Areas(Labelled):
    """Areas of text that are updated in place, and displays under their session's name."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._open: dict[str, Area] = {}
        self._changed: dict[str, Area] = {}
        self._displays: dict[str, list[str]] = {}
        self._to_clear: set[str] = set()
        self._newest = ""  # whose output is the last in the cell
        self._refreshed = 0.0

    def text(self, name: str, text: str, *, error: bool = False) -> None:
        self._clear_if_due(name)
        area = self._open.get(name)
        if area is None or (len(area.screen.above) > _LARGEST_AREA and area.screen.fresh):
            self.refresh()
            area = self._open[name] = Area(name)
        area.screen.write(text)
        self._changed[name] = area
        if time.monotonic() - self._refreshed > REFRESH:
            self.refresh()

    def rich(
        self,
        name: str,
        data: dict[str, Any],
        metadata: dict[str, Any],
        display_id: str | None,
        *,
        update: bool,
    ) -> None:
        # ids that code chose may be the same in every session
        own_id = f"{name}:{display_id or uuid4().hex}"
        if update:
            self._publish(data, own_id, metadata, update=True)
            return
        self._clear_if_due(name)
        if set(data) == {"text/plain"} and display_id is None:
            area = self._open.get(name)
            newline = "" if area is None or area.screen.fresh else "\n"
            self.text(name, f"{newline}{data['text/plain']}\n")
            return
        self.refresh()
        if self._newest != name:
            self._publish({"text/plain": _head(name)}, self._add_display(name, uuid4().hex))
        self._publish(data, self._add_display(name, own_id), metadata)
        self._newest = name
        self._open.pop(name, None)  # what it prints next stands below

    def clear(self, name: str, *, wait: bool) -> None:
        self._to_clear.add(name)
        if not wait:
            self._clear_if_due(name)

    def refresh(self) -> None:
        for name, area in self._changed.items():
            if not area.shown:
                area.headed, self._newest = self._newest != name, name
            self._publish(area.data, area.display_id, update=area.shown)
            area.shown = True
        self._changed.clear()
        self._refreshed = time.monotonic()

    def close(self) -> None:
        self.refresh()

    def _add_display(self, name: str, display_id: str) -> str:
        self._displays.setdefault(name, []).append(display_id)
        return display_id

    def _clear_if_due(self, name: str) -> None:
        if name not in self._to_clear:
            return
        self._to_clear.discard(name)
        for display_id in self._displays.pop(name, ()):
            self._publish({"text/plain": ""}, display_id, update=True)
        if area := self._open.get(name):
            area.screen, area.headed = Screen(), True
            self._changed[name] = area
        if self._newest == name:  # its head is gone, too
            self._newest = ""

    def _publish(
        self,
        data: dict[str, Any],
        display_id: str,
        metadata: dict[str, Any] | None = None,
        *,
        update: bool = False,
    ) -> None:
        sys.stdout.flush()
        self._shell.display_pub.publish(
            data=data,
            metadata=metadata or {},
            transient={"display_id": display_id},
            update=update,
        )


def _head(name: str) -> str:
    return f"── {name} ──"
