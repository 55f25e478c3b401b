"""The answer to a page that is loaded and asks for all widgets: those of the sessions too.

A session that does not answer in time is left out; the others, and those made here, still show.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import TYPE_CHECKING, Any

from clouditia_jupyter.notebook.states import States

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clouditia_jupyter.notebook.link import Link

#: Seconds within which the front end wants its answer, less some for the way.
_SECONDS = 3.0


class Control:
    """A comm target that takes the place of the local ``ipywidgets``' own.

    Parameters
    ----------
    links
        Returns the ways to the sessions' widgets.
    local
        The local target; None where there is no ``ipywidgets`` here.
    """

    def __init__(
        self, links: Callable[[], list[Link]], local: Callable[[Any, Any], None] | None
    ) -> None:
        self._links = links
        self.local = local

    def __call__(self, comm: Any, message: Mapping[str, Any]) -> None:
        """Take that the front end begins to ask."""
        here = _Here()
        if self.local is not None:
            self.local(here, message)
        comm.on_msg(lambda asked: self._answer(comm, here, asked))

    def _answer(self, comm: Any, here: _Here, asked: Mapping[str, Any]) -> None:
        parts = [*here.states(asked), *_states_of(self._links())]
        comm.send(
            {
                "method": "update_states",
                "states": {k: model for part in parts for k, model in part.models.items()},
                "buffer_paths": [path for part in parts for path in part.buffer_paths],
            },
            buffers=[buffer for part in parts for buffer in part.buffers],
        )


def _states_of(links: list[Link]) -> Iterator[States]:
    """Yield what each session says, all asked at once."""
    answers: queue.SimpleQueue[States | None] = queue.SimpleQueue()

    def ask(link: Link) -> None:
        answers.put(link.states(_SECONDS))

    until = time.monotonic() + _SECONDS
    for link in links:
        name = "clouditia-widget-states"
        threading.Thread(target=ask, args=(link,), name=name, daemon=True).start()
    for _ in links:
        try:
            found = answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            return
        if found is not None:
            yield found


class _Here:
    """A comm on which the local ``ipywidgets`` answers for the widgets made here."""

    def __init__(self) -> None:
        self._asked: Callable[[Any], None] | None = None
        self._said: list[States] = []

    def on_msg(self, callback: Callable[[Any], None]) -> None:
        self._asked = callback

    def send(self, data: Mapping[str, Any], buffers: list[Any] | None = None) -> None:
        self._said = [States(data["states"], data["buffer_paths"], list(buffers or ()))]

    def states(self, asked: Mapping[str, Any]) -> list[States]:
        """Return what is said when the front end asks."""
        if self._asked is not None:
            self._asked(asked)
        return self._said
