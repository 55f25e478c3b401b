"""Executes cells where there is no IPython: prints, last expressions, figures, tracebacks."""

from __future__ import annotations

import ast
import base64
import builtins
import contextvars
import inspect
import io
import linecache
import sys
import traceback
import types
from typing import Any

_AWAIT = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
#: How an object says what it looks like, by MIME type.
_REPRS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "text/latex": "_repr_latex_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "application/json": "_repr_json_",
}


class PlainShell:
    """A namespace, and what executes code in it; see ``Shell``."""

    ended = False

    def __init__(self, outbox: Any) -> None:
        self.context = contextvars.copy_context()
        self._outbox = outbox
        self._error: BaseException | None = None
        self._count = 0
        module = types.ModuleType("__main__")
        module.__dict__.update(__builtins__=builtins)
        sys.modules["__main__"] = module
        self.namespace = module.__dict__

    async def run(self, command: dict[str, Any]) -> tuple[bool, int | None]:
        """Run a cell; return whether it succeeded, and its number."""
        self._count += 1
        self._error = None
        name = f"<cell {self._count}>"
        code = command["code"]
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        try:
            tree = ast.parse(code, name)
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            await self._do(compile(tree, name, "exec", flags=_AWAIT))
            if isinstance(last, ast.Expr):
                expression = ast.Expression(last.value)
                value = await self._do(compile(expression, name, "eval", flags=_AWAIT))
                if not code.rstrip().endswith(";"):
                    self._show(value)
            self._figures()
        except BaseException as error:
            self._figures()
            self._error = error
            trace = _frames(error, name)
            self._outbox.event("error", {**self.failure(), "traceback": trace, "final": True})
            return False, self._count
        return True, self._count

    def failure(self) -> dict[str, str]:
        """Return the name and the message of what the last cell failed with, if it did."""
        if self._error is None:
            return {}
        return {"ename": type(self._error).__name__, "evalue": str(self._error)}

    async def _do(self, code: types.CodeType) -> Any:
        value = self.context.run(eval, code, self.namespace)
        return await value if code.co_flags & inspect.CO_COROUTINE else value

    def _show(self, value: Any) -> None:
        if value is None:
            return
        self.namespace["_"] = value
        content = {"data": _bundle(value), "metadata": {}, "execution_count": self._count}
        self._outbox.event("execute_result", content)

    def _figures(self) -> None:
        """Show the open figures of matplotlib, as a notebook does, and close them."""
        pyplot: Any = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            return
        for number in pyplot.get_fignums():
            figure, picture = pyplot.figure(number), io.BytesIO()
            figure.savefig(picture, format="png", bbox_inches="tight")
            data = {"text/plain": repr(figure), "image/png": picture.getvalue()}
            self._outbox.event("display_data", {"data": data, "metadata": {}, "transient": {}})
        pyplot.close("all")

    def complete(self, code: str, cursor: int) -> dict[str, Any]:
        """Complete nothing."""
        empty = {"matches": [], "cursor_start": cursor, "cursor_end": cursor}
        return {**empty, "metadata": {}, "status": "ok"}

    def inspect(self, code: str, cursor: int, detail: int) -> dict[str, Any]:
        """Find nothing."""
        return {"found": False, "data": {}, "metadata": {}, "status": "ok"}


def _bundle(value: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"text/plain": repr(value)}
    if isinstance(value, type):  # what its instances can show
        return data
    for kind, method in _REPRS.items():
        show = getattr(value, method, None)
        if callable(show):
            try:
                shown = show()
            except Exception:
                traceback.print_exc()
                continue
            if shown is not None:
                data[kind] = base64.b64encode(shown).decode() if type(shown) is bytes else shown
    return data


def _frames(error: BaseException, cell: str) -> list[str]:
    """Return the traceback from the cell's own code on."""
    tb = error.__traceback__
    while tb is not None and tb.tb_frame.f_code.co_filename != cell:
        tb = tb.tb_next
    if tb is None and not isinstance(error, SyntaxError):
        tb = error.__traceback__
    told = traceback.TracebackException(type(error), error, tb)
    # where an interrupt was raised is no place in anybody's code
    told.stack[:] = [frame for frame in told.stack if "clouditia_agent" not in frame.filename]
    return "".join(told.format()).rstrip("\n").split("\n")
