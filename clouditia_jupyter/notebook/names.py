"""Which names a cell needs from outside: those that it loads before it binds them.

As Python would: in order, with branches, comprehensions and the scopes of functions and classes.
What a function uses counts from where the function is first mentioned, as it may be called there.
"""

from __future__ import annotations

import ast
import symtable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from IPython.core.inputtransformer2 import TransformerManager

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: Magics whose text is Python.
_TIMERS = frozenset({"time", "timeit", "prun", "capture"})
_Function: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"


@lru_cache(maxsize=64)
def needed(code: str) -> tuple[str, ...]:
    """Return the names that a cell needs, in the order in which it meets them.

    Those in ``{braces}`` and after ``$`` in magics and shell commands are not among them, nor is
    anything of a cell that is no Python.
    """
    reader = _Reader()
    reader.read(code)
    return tuple(reader.needed)


class _Reader(ast.NodeVisitor):
    """Reads one cell in the order of its execution.

    Attributes
    ----------
    needed
        Names loaded and not bound before; a dict for its order.
    """

    def __init__(self) -> None:
        self.needed: dict[str, None] = {}
        self._bound: set[str] = set()
        self._inner: list[set[str]] = []  # of comprehensions and class bodies, innermost last
        self._later: dict[str, set[str]] = {}  # what the cell's own functions and classes use

    def read(self, code: str) -> None:
        """Read a whole cell."""
        if self._read_text(code):
            for name in list(self._later):
                self._load(name)

    def _read_text(self, code: str) -> bool:
        try:
            manager: Any = TransformerManager  # its own: the shell's may send cells elsewhere
            tree = ast.parse(manager().transform_cell(code))
        except (SyntaxError, ValueError):  # whoever runs it will say so
            return False
        self._read_all(tree.body)
        return True

    def _read_all(self, nodes: Iterable[ast.AST | None]) -> None:
        for node in nodes:
            if node is not None:
                self.visit(node)

    # Names

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        else:
            self._load(node.id)
            if isinstance(node.ctx, ast.Del):
                self._bound.discard(node.id)

    def _load(self, name: str) -> None:
        if any(name in scope for scope in self._inner):
            return
        if name not in self._bound:
            self.needed.setdefault(name)
        for used in sorted(self._later.pop(name, ())):
            self._load(used)

    def _bind(self, name: str) -> None:
        (self._inner[-1] if self._inner else self._bound).add(name)

    # Statements whose parts are executed in another order than they are written in

    def visit_Assign(self, node: ast.Assign) -> None:
        self._read_all([node.value, *node.targets])

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._read_all([node.annotation, node.value])
        if node.value is not None or not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._load(node.target.id)
        self._read_all([node.target, node.value])

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        self._bound.add(node.target.id)  # a comprehension binds it outside

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        # a loop that never turns is rare, and would need more than it does
        self._read_all([node.iter, node.target, *node.body, *node.orelse])

    visit_AsyncFor = visit_For  # noqa: N815

    # Branches: only what all of them bind is bound for sure

    def visit_If(self, node: ast.If) -> None:
        self.visit(node.test)
        self._branch([node.body, node.orelse])

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        for case in node.cases:
            self._read_all([case.pattern, case.guard])
        self._branch([*(case.body for case in node.cases), []])

    def visit_Try(self, node: ast.Try) -> None:
        before = set(self._bound)
        self._read_all([*node.body, *node.orelse])
        ends = [set(self._bound)]
        for handler in node.handlers:
            self._bound = set(before)
            self.visit(handler)
            if not _leaves(handler.body):
                ends.append(set(self._bound))
        self._bound = set.intersection(*ends)
        self._read_all(node.finalbody)

    visit_TryStar = visit_Try  # noqa: N815

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        self._read_all([node.type])
        if node.name:
            self._bind(node.name)
        self._read_all(node.body)
        if node.name:
            self._bound.discard(node.name)

    def _branch(self, bodies: Iterable[Sequence[ast.stmt]]) -> None:
        before, ends = set(self._bound), []
        for body in bodies:
            self._bound = set(before)
            self._read_all(body)
            if not _leaves(body):
                ends.append(self._bound)
        self._bound = set.intersection(*ends) if ends else before

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        self._read_all([node.pattern])
        if node.name:
            self._bind(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        if node.name:
            self._bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        self.generic_visit(node)
        if node.rest:
            self._bind(node.rest)

    # Scopes of their own

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> None:
        for alias in node.names:
            self._bind(alias.asname or alias.name.partition(".")[0])

    visit_ImportFrom = visit_Import  # noqa: N815

    def visit_FunctionDef(self, node: _Function) -> None:
        self._read_all([*node.decorator_list, *_surroundings(node.args), node.returns])
        self._bind(node.name)
        self._later.setdefault(node.name, set()).update(_used_inside(node))

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._read_all(_surroundings(node.args))
        for name in sorted(_used_inside(node)):
            self._load(name)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._read_all([*node.decorator_list, *node.bases, *node.keywords])
        outside, self._later = self._later, {}
        self._inner.append(set())
        self._read_all(node.body)
        self._inner.pop()
        methods, self._later = self._later, outside
        self._bind(node.name)
        self._later.setdefault(node.name, set()).update(*methods.values())

    def visit_ListComp(
        self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
    ) -> None:
        self._inner.append(set())
        for part in node.generators:
            self._read_all([part.iter, part.target, *part.ifs])
        self._read_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])
        self._inner.pop()

    visit_SetComp = visit_GeneratorExp = visit_DictComp = visit_ListComp  # noqa: N815

    # Magics

    def visit_Call(self, node: ast.Call) -> None:
        for text in _timed(node):
            self._read_text(text)
        self.generic_visit(node)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """Return whether what follows is not reached from here."""
    return bool(body) and isinstance(body[-1], (ast.Raise, ast.Continue, ast.Break))


def _surroundings(arguments: ast.arguments) -> Iterator[ast.AST | None]:
    """Yield what is evaluated where a function is defined: defaults and annotations."""
    yield from arguments.defaults
    yield from arguments.kw_defaults
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    for argument in (*every, arguments.vararg, arguments.kwarg):
        if argument is not None:
            yield argument.annotation


def _used_inside(node: _Function | ast.Lambda) -> set[str]:
    """Return the names that a function's body takes from the module."""
    if isinstance(node, ast.Lambda):
        bare: ast.AST = ast.Lambda(_bare(node.args), node.body)
    else:
        bare = type(node)(
            name=node.name, args=_bare(node.args), body=node.body, decorator_list=[], lineno=1
        )
    try:
        table = symtable.symtable(ast.unparse(bare), "<cell>", "exec")
    except SyntaxError:  # such as a return outside of a function; whoever runs it will say so
        return set()
    again = {
        item.target.id
        for item in ast.walk(node)
        if isinstance(item, ast.AugAssign) and isinstance(item.target, ast.Name)
    }
    found = set()
    tables = list(table.get_children())
    while tables:
        inner = tables.pop()
        tables += inner.get_children()
        for symbol in inner.get_symbols():
            name = symbol.get_name()
            if symbol.is_global() and (symbol.is_referenced() or name in again):
                found.add(name)
    return found


def _bare(arguments: ast.arguments) -> ast.arguments:
    """Return arguments by their names alone, as far as a body can tell."""
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [a for a in (arguments.vararg, arguments.kwarg) if a is not None]
    return ast.arguments(
        posonlyargs=[],
        args=[ast.arg(argument.arg) for argument in every],
        kwonlyargs=[],
        kw_defaults=[],
        defaults=[],
    )


def _timed(node: ast.Call) -> Iterator[str]:
    """Yield the Python that a magic such as ``%time`` is given."""
    function = node.func
    if not (
        isinstance(function, ast.Attribute)
        and function.attr in ("run_line_magic", "run_cell_magic")
        and isinstance(function.value, ast.Call)
        and isinstance(function.value.func, ast.Name)
        and function.value.func.id == "get_ipython"
    ):
        return
    texts = [item.value for item in node.args if isinstance(item, ast.Constant)]
    if len(texts) < 2 or texts[0] not in _TIMERS:
        return
    _, line, *body = map(str, texts)
    if texts[0] != "capture":  # whose line names a variable that it makes
        yield _statement(line)
    yield from body


def _statement(line: str) -> str:
    """Return what is left of a magic's line behind its options."""
    words = line.split(" ")
    for start in range(len(words)):
        text = " ".join(words[start:]).strip()
        if text.startswith("-") and start + 1 < len(words):
            continue
        try:
            ast.parse(text)
        except SyntaxError:
            continue
        return text
    return ""
