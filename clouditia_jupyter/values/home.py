"""The namespace in which functions of a notebook are at home, once they have crossed.

Such a function sees the names around it, as if it had been defined there. Names that it used where
it comes from come with it, for where there are none: what the session's own cells have set stays.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, ClassVar

_NOTEBOOK = "__main__"
_NOTHING = object()


class Home:
    """A namespace that functions move into.

    Parameters
    ----------
    namespace
        The variables of the session's cells.
    """

    #: What functions have brought so far, by name: a later one may bring it anew.
    _brought: ClassVar[dict[str, Any]] = {}

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._before: dict[str, Any] = {}

    def maker(self, make: Callable[..., Any]) -> Callable[..., Any]:
        """Return what makes functions, at home here if they are a notebook's."""

        def make_at_home(code: types.CodeType, names: dict[str, Any], *rest: Any) -> Any:
            if names.get("__name__") != _NOTEBOOK:
                return make(code, names, *rest)
            return types.FunctionType(code, self._namespace, *rest)

        return make_at_home

    def setter(self, set_state: Callable[..., Any]) -> Callable[..., Any]:
        """Return what completes functions: with the names that they bring."""

        def set_state_at_home(function: Any, state: Any) -> None:
            if function.__globals__ is not self._namespace:
                set_state(function, state)
                return
            _, slots = state
            names, slots["__globals__"] = slots["__globals__"], {}
            builtins = self._namespace.get("__builtins__")
            set_state(function, state)
            self._namespace["__builtins__"] = builtins  # as a module's own they look different
            self._bring(names)

        return set_state_at_home

    def _bring(self, names: dict[str, Any]) -> None:
        for name, value in names.items():
            there = self._namespace.get(name, _NOTHING)
            if there is _NOTHING or there is self._brought.get(name, self):
                self._before.setdefault(name, there)
                self._namespace[name] = self._brought[name] = value

    def undo(self) -> None:
        """Leave the namespace as it was before: what came with them is not wanted."""
        for name, value in self._before.items():
            if value is _NOTHING:
                self._namespace.pop(name, None)
            else:
                self._namespace[name] = value
