"""Runs one piece of Python by itself, in a process of its own: ``script CODE_FILE RESULT_FILE``.

As in a notebook cell, the value of a last expression is the result: its repr is printed and written
to the result file.
"""

from __future__ import annotations

import ast
import linecache
import sys
import traceback
from pathlib import Path

_NAME = "<session>"


def main(code_file: str, result_file: str) -> int:
    """Run the code and return the exit status: 1 where it raised."""
    code = Path(code_file).read_text()
    linecache.cache[_NAME] = (len(code), None, code.splitlines(keepends=True), _NAME)
    namespace = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        tree = ast.parse(code, _NAME)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, _NAME, "exec"), namespace)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), _NAME, "eval"), namespace)
            if value is not None:
                text = repr(value)
                Path(result_file).write_text(text)
                sys.stdout.write(text + "\n")
    except SystemExit as stop:
        if isinstance(stop.code, str):
            sys.stderr.write(stop.code + "\n")
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException as error:
        error.__traceback__ = error.__traceback__ and error.__traceback__.tb_next
        traceback.print_exception(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.path[:1] = [""]
    status = main(*sys.argv[1:])
    sys.stdout.flush()
    sys.exit(status)
