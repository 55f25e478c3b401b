"""The agent's own code: self-contained, and of use where there is no IPython."""

from __future__ import annotations

import ast
import asyncio
import io
import zipfile

from clouditia_jupyter.client.agent.bundle import bundle
from clouditia_jupyter.client.agent.remote.plain import PlainShell


def test_the_agent_is_self_contained_and_for_python_3_9():
    archive = zipfile.ZipFile(io.BytesIO(bundle().data))
    assert len(bundle().data) < 48 * 1024  # in base64, one piece
    for name in archive.namelist():
        source = archive.read(name).decode()
        tree = ast.parse(source, name, feature_version=(3, 9))
        for node in ast.walk(tree):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [getattr(node, "module", None) or "", *(a.name for a in node.names)]
                assert not any(n.startswith("clouditia_jupyter") for n in names), name


class Outbox:
    def __init__(self):
        self.events = []

    def event(self, kind, content):
        self.events.append((kind, content))


def run_plainly(*cells):
    import sys

    main = sys.modules["__main__"]
    try:
        outbox = Outbox()
        shell = PlainShell(outbox)

        async def run():
            return [await shell.run({"code": code}) for code in cells]

        return asyncio.run(run()), outbox.events
    finally:
        sys.modules["__main__"] = main


def test_without_ipython_the_last_expression_shows():
    class_with_html = "class A:\n    def _repr_html_(self):\n        return '<b>a</b>'\nA()"
    outcomes, events = run_plainly("x = 1", "x + 1", class_with_html, "x;", "_")
    assert outcomes == [(True, n) for n in range(1, 6)]
    assert events[0] == (
        "execute_result",
        {"data": {"text/plain": "2"}, "metadata": {}, "execution_count": 2},
    )
    assert events[1][1]["data"]["text/html"] == "<b>a</b>"
    assert len(events) == 3


def test_without_ipython_awaits_and_errors():
    outcomes, events = run_plainly(
        "import asyncio\nawait asyncio.sleep(0)\nasyncio.current_task() is not None",
        "def f():\n    return 1 / 0\nf()",
        "def f(:",
        "import sys\nsys.exit(3)",
    )
    assert [ok for ok, _ in outcomes] == [True, False, False, False]
    assert events[0][1]["data"]["text/plain"] == "True"
    (_, zero), (_, syntax), (_, left) = events[1:]
    assert zero["ename"] == "ZeroDivisionError"
    assert "    return 1 / 0" in zero["traceback"]
    assert not any("plain.py" in line for line in zero["traceback"])
    assert syntax["ename"] == "SyntaxError"
    assert (left["ename"], left["evalue"]) == ("SystemExit", "3")
