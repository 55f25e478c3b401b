"""All widgets of a session at once, as its ``ipywidgets`` tells them to a page that is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from clouditia_jupyter.models import Event

WIDGET = "jupyter.widget"
#: The comm target that tells all widgets.
CONTROL = "jupyter.widget.control"
_REFERENCE = re.compile(r"^IPY_MODEL_(.+)$")


@dataclass(frozen=True)
class States:
    """The widgets of one kernel.

    Attributes
    ----------
    models
        What ``ipywidgets`` says of each, by its id: ``state``, and the name of its model.
    buffer_paths, buffers
        Where in ``models`` which bytes belong.
    kernel
        The process that they live in.
    """

    models: Mapping[str, Mapping[str, Any]]
    buffer_paths: list[list[Any]]
    buffers: list[Any]
    kernel: str = ""

    #: Of the messages that open widgets: the version of the widgets' protocol.
    metadata: ClassVar = {"version": "2.1.0"}

    @classmethod
    def of(cls, event: Event) -> States:
        """Return what a session's answer says."""
        data = event.content["data"]
        return cls(
            data["states"], data.get("buffer_paths") or [], list(event.buffers), event.kernel
        )

    def __contains__(self, model_id: object) -> bool:
        return model_id in self.models

    def openings(self, besides: Container[str]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
        """Yield the content and the buffers of the message that opens each, its parts first."""
        for model_id in self._in_order():
            if model_id not in besides:
                data, buffers = self._state(model_id)
                yield {"comm_id": model_id, "target_name": WIDGET, "data": data}, buffers

    def update(self, model_id: str) -> tuple[dict[str, Any], list[Any]]:
        """Return the content and the buffers of the message that says what a widget is now."""
        data, buffers = self._state(model_id)
        return {"comm_id": model_id, "data": {"method": "update", **data}}, buffers

    def _state(self, model_id: str) -> tuple[dict[str, Any], list[Any]]:
        own = [i for i, path in enumerate(self.buffer_paths) if path[0] == model_id]
        # without the model's id and "state"
        paths = [self.buffer_paths[i][2:] for i in own]
        state = self.models[model_id]["state"]
        return {"state": state, "buffer_paths": paths}, [self.buffers[i] for i in own]

    def _in_order(self) -> list[str]:
        ordered: dict[str, None] = {}
        begun: set[str] = set()

        def visit(model_id: str) -> None:
            if model_id in self.models and model_id not in begun:
                begun.add(model_id)
                for other in _references(self.models[model_id]["state"]):
                    visit(other)
                ordered[model_id] = None

        for model_id in self.models:
            visit(model_id)
        return list(ordered)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if found := _REFERENCE.match(value):
            yield found[1]
    elif isinstance(value, dict):
        for part in value.values():
            yield from _references(part)
    elif isinstance(value, list):
        for part in value:
            yield from _references(part)
