"""Which names a cell needs from outside."""

from __future__ import annotations

import builtins

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from clouditia_jupyter.notebook.names import needed

CASES = {
    "a name before it is bound": ("x = x + 1\ny", "x y"),
    "a name that is bound first": ("x = 1\nprint(x)", ""),
    "an augmented name": ("total += 1", "total"),
    "attributes and items have roots": ("model.fit(X).score(data['a'][i])", "model X data i"),
    "setting an attribute or an item needs its root": ("a.b = c\nd[e] = f", "a c d e f"),
    "del needs what it takes away": ("del x\nx", "x"),
    "an annotation alone binds nothing": ("x: int\nx", "x"),
    "a walrus binds outside of a comprehension": ("[(y := f(v)) for v in vs]\ny", "vs f"),
    "unpacking": ("a, (b, *c) = source\na, b, c", "source"),
    "imports bind": (
        "import os.path\nimport numpy as np\nfrom json import dumps as c\nos, np, c, a",
        "a",
    ),
    "f-strings": ("f'{a!r:{width}} {b.c}'", "a width b"),
    "a loop": ("for i, v in enumerate(rows):\n    last = v * k\nlast, i", "rows k"),
    "one branch is not enough": ("if flag:\n    x = 1\nx", "flag x"),
    "all branches are": ("if flag:\n    x = 1\nelif g:\n    x = 2\nelse:\n    x = 3\nx", "flag g"),
    "a branch that raises does not count": ("if a:\n    x = 1\nelse:\n    raise E\nx", "a E"),
    "try and its way out": ("try:\n    import m\nexcept ImportError:\n    m = None\nm", ""),
    "try that only says so": ("try:\n    x = f()\nexcept OSError as e:\n    print(e)\nx", "f x"),
    "with": ("with lock, open(path) as f:\n    f.read()", "lock path"),
    "match": (
        "match v:\n    case {'k': a, **r}: a, r\n    case P(b): b\n    case [h, *t]: h, t\n"
        "    case x if x > n: pass",
        "v P n",
    ),
    "comprehensions": ("[q * w for q in rows if q > t]\nq", "rows t w q"),
    "a comprehension in one": ("{k: [f(c) for c in v] for k, v in d.items()}", "d f"),
    "a lambda": ("lambda r, *a, s=S, **k: r[key] + s + a + k", "S key"),
    "a lambda in a comprehension": ("[lambda: (i, j) for i in n]", "n j"),
    "a function": ("def f(a, b=B):\n    c = a\n    return c + b + G", "B G"),
    "what it calls may come later": ("def f():\n    return g()\ndef g():\n    return 1\nf()", ""),
    "but not after it is called": ("def f():\n    return g\nf()\ng = 1", "g"),
    "closures": (
        "def f():\n    x = 1\n    def g():\n        return x + y\n    return g\nf()()",
        "y",
    ),
    "global": ("def f():\n    global n\n    n += 1\nf()", "n"),
    "global that is only set": ("def f():\n    global n\n    n = 1\nf()", ""),
    "decorators and annotations": (
        "@d.e(x)\nasync def f(a: T, *, k: K = D) -> R: ...",
        "d x D T K R",
    ),
    "a class": (
        "class A(Base, metaclass=M):\n    n = N\n    m = n\n"
        "    def g(self):\n        return n, self.h, Z\nA().g()",
        "Base M N Z n",
    ),
    "await and async for": ("async for r in stream:\n    await save(r)", "stream save"),
    "a magic's own words": ("!ls {path} $other\n%cd {folder}\n%%bash", ""),
    "a cell in another language": ("%%bash\necho $name {name}", ""),
    "time": ("%time model.fit(X)\n%timeit -n 10 -r 3 g(Y)", "model X g Y"),
    "a timed cell": ("%%time\nfit(X)\n", "fit X"),
    "an assigned magic": ("files = !ls {path}\nlen(files), other", "other"),
    "no Python": ("def f(:", ""),
    "help": ("thing?", ""),
    "nothing": ("\n# nothing\n", ""),
}


@pytest.mark.parametrize("case", CASES)
def test_needed(case: str) -> None:
    code, names = CASES[case]
    found = [n for n in needed(code) if not hasattr(builtins, n) and n != "get_ipython"]
    assert sorted(found) == sorted(names.split())


@pytest.mark.parametrize("case", [c for c in CASES if CASES[c][1] and "await" not in c])
def test_what_is_needed_is_what_python_misses(case: str) -> None:
    """Where the cell runs with nothing there, the first name that Python misses is one of them."""
    code, names = CASES[case]
    plain = TransformerManager().transform_cell(code)  # type: ignore[no-untyped-call]
    if "get_ipython" in plain:
        return
    with pytest.raises(NameError) as caught:
        exec(compile(plain, case, "exec"), {})
    assert caught.value.name in names.split()
