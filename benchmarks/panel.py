"""The control panel: how soon it is there, and what it takes to keep it fresh."""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import comm
from comm.base_comm import BaseComm
from IPython.core.interactiveshell import InteractiveShell

from benchmarks.measure import Series, table
from tests.browser import chromium
from tests.running import RunningPlatform

#: Sessions that run, and all of them.
_RUNNING, _ALL = 10, 200
_CELLS = [
    "%load_ext clouditia_jupyter",
    "%clouditia panel",
    "import clouditia_jupyter\nclouditia_jupyter.panel().close()",
]
#: Runs the panel's cell, and returns the milliseconds until a session's row has been painted.
_PAINT = """index => new Promise(resolve => {
  const app = window.jupyterapp, notebook = app.shell.currentWidget.content;
  notebook.activeCellIndex = index;
  notebook.deselectAll();
  const begin = performance.now();
  const look = () => document.querySelector('.cp-session')
    ? requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - begin)))
    : requestAnimationFrame(look);
  requestAnimationFrame(look);
  app.commands.execute('notebook:run-cell');
})"""
_RESTART = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"


def report(shell: InteractiveShell, *, quick: bool) -> str:
    """Measure the first paint (goal: 300 ms) and a refresh (goals: 20 ms, and 0 bytes)."""
    with _account() as platform:
        return "\n".join(
            [
                _paints(platform, rounds=2 if quick else 10),
                _refreshes(shell, platform, rounds=10 if quick else 100),
            ]
        )


@contextmanager
def _account() -> Iterator[RunningPlatform]:
    """A platform with sessions that run, in real pods, and one that has ended."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        state = Path(folder) / "state"
        platform = RunningPlatform(state, "--gpus", f"nvidia-rtx-3090={_RUNNING}", "--spares", "0")
        try:
            platform.stop_session(platform.create(gpu_type="nvidia-rtx-3090", storage=1)["id"])
            for number in range(_RUNNING):
                platform.create(gpu_type="nvidia-rtx-3090", storage=1, name=f"study {number}")
            yield platform
        finally:
            platform.close()


def _age(platform: RunningPlatform) -> None:
    """Give the account a past: copies of the session that has ended, only to be shown."""
    ended = platform.computing.get("sessions/?status=stopped").json()["sessions"][0]["id"]
    database = sqlite3.connect(platform.state / "platform.db", timeout=30)
    with closing(database), database:
        for name, key in (("sessions", "id"), ("session_gpus", "session_id")):
            found = database.execute(f"SELECT * FROM {name} WHERE {key} = ?", (ended,))
            place = [column[0] for column in found.description].index(key)
            (row,) = found.fetchall()
            for number in range(_ALL - _RUNNING - 1):
                copied = list(row)
                copied[place] = str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))
                marks = ", ".join("?" * len(copied))
                database.execute(f"INSERT INTO {name} VALUES ({marks})", copied)


def _paints(platform: RunningPlatform, *, rounds: int) -> str:
    """In JupyterLab under Chromium, from the request to execute the cell."""
    executable = chromium.path()
    if executable is None:
        return f"### First paint\n\nNot measured. {chromium.MISSING}\n"
    from tests.browser.lab import Lab, NotebookPage

    fresh: list[float] = []
    again: list[float] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        lab = Lab(Path(folder), **platform.environment)
        try:
            lab.write("panel.ipynb", _CELLS)
            with chromium.opened(executable) as page:
                notebook = NotebookPage(page, lab.url, "panel.ipynb")
                for _ in range(-1, rounds):
                    page.evaluate(_RESTART)
                    notebook.wait_until_idle()
                    notebook.run(0)
                    for times in (fresh, again):
                        notebook.command("notebook:clear-all-cell-outputs")
                        page.wait_for_selector(".cp-session", state="detached")
                        times.append(page.evaluate(_PAINT, 1) / 1e3)
                        notebook.wait_until_idle()
                        notebook.run(2)
        finally:
            lab.close()
    series = [
        Series("%clouditia panel, first command of the kernel", fresh[1:]),
        Series("again in the same kernel", again[1:]),
    ]
    return table(
        f"Panel: from running the cell to the first painted row, {_RUNNING} sessions", series, []
    )


class _Counted(BaseComm):
    """What a page would get, counted."""

    sent = 0

    def publish_msg(self, msg_type: str, data: Any = None, *args: Any, **keys: Any) -> None:
        _Counted.sent += len(json.dumps(data or {}))


def _refreshes(shell: InteractiveShell, platform: RunningPlatform, *, rounds: int) -> str:
    """All of this process's time during a refresh, whichever thread spends it."""
    _age(platform)
    before, create = dict(os.environ), comm.create_comm
    os.environ.update(platform.environment)
    comm.create_comm = _Counted
    shell.run_line_magic("load_ext", "clouditia_jupyter")
    panel = shell.run_line_magic("clouditia", "panel")
    session = platform.computing.get("sessions/?status=running").json()["sessions"][0]["id"]
    changed: list[float] = []
    same: list[float] = []
    bytes_changed, bytes_same = [], []
    try:
        panel.refresh()
        for number in range(rounds):
            name = {"session_id": session, "name": f"name {number}"}
            platform.computing.post("sessions/rename/", json=name)
            for times, sizes in ((changed, bytes_changed), (same, bytes_same)):
                sent, overview = _Counted.sent, panel._board.overview
                begin = time.process_time()
                panel.refresh()
                elapsed = time.process_time() - begin
                if (panel._board.overview is overview) == (times is same):
                    times.append(elapsed)
                    sizes.append(_Counted.sent - sent)
    finally:
        panel.close()
        comm.create_comm = create
        os.environ.clear()
        os.environ.update(before)
    series = [Series("something has changed", changed), Series("nothing has changed", same)]
    return (
        table(f"Panel: processor time of the kernel for one refresh, {_ALL} sessions", series, [])
        + f"\nSent to the page: {max(bytes_changed):,} bytes at most where a name has changed, "
        f"{max(bytes_same):,} where nothing has.\n"
    )
