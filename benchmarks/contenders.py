"""Who is compared: a stock local kernel, ipyparallel's ``%%px``, and this project's own magic."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator

from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel

Run = Callable[[str], object]


@contextlib.contextmanager
def bare_kernel() -> Iterator[Run]:
    """A stock kernel on this machine, through ``execute_interactive``; output thrown away."""
    manager, client = start_new_kernel()
    try:
        yield lambda code: client.execute_interactive(
            code, allow_stdin=False, output_hook=lambda message: None
        )
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@contextlib.contextmanager
def px(shell: InteractiveShell) -> Iterator[Run]:
    """ipyparallel's cell magic with one engine."""
    import ipyparallel

    cluster = ipyparallel.Cluster(n=1, log_level=40)
    with contextlib.redirect_stderr(io.StringIO()):
        engines = cluster.start_and_connect_sync(activate=True)
    view = engines[:]
    view.block = True
    view.activate()
    try:
        yield lambda code: quietly(shell, "px", code)
    finally:
        cluster.stop_cluster_sync()


@contextlib.contextmanager
def clouditia(shell: InteractiveShell) -> Iterator[Run]:
    """``%%clouditia_run`` on a local platform of its own, in a session with all cores."""
    with tempfile.TemporaryDirectory(prefix="bench-") as state, own_state(state):
        shell.run_line_magic("load_ext", "clouditia_jupyter")
        shell.run_line_magic("config", "ClouditiaMagics.footer = False")
        cores = len(os.sched_getaffinity(0))
        with contextlib.redirect_stdout(io.StringIO()):
            shell.run_line_magic(
                "clouditia", f"create --gpu nvidia-rtx-3090 --vcpu {cores} --ram 8"
            )
        try:
            yield lambda code: quietly(shell, "clouditia_run", code)
        finally:
            with contextlib.redirect_stdout(io.StringIO()):
                shell.run_line_magic("clouditia", "stop --yes")
            end_platform(state)


def quietly(shell: InteractiveShell, magic: str, code: str) -> None:
    """Run a cell magic with its output thrown away."""
    with contextlib.redirect_stdout(io.StringIO()):
        shell.run_cell_magic(magic, "", code)


@contextlib.contextmanager
def own_state(state: str) -> Iterator[None]:
    """Keep the local platform's state in ``state``, and the user's own settings out."""
    names = ("CLOUDITIA_API_KEY", "CLOUDITIA_BASE_URL", "CLOUDITIA_EDITOR_URL", "CLOUDITIA_STATE")
    before = {name: os.environ.pop(name, None) for name in names}
    os.environ["CLOUDITIA_STATE"] = state
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def end_platform(state: str) -> None:
    """End the platform of the state folder ``state``, and wait until it is gone."""
    import json
    from pathlib import Path

    import psutil

    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        told = json.loads((Path(state) / "platform.json").read_text())
        process = psutil.Process(told["pid"])
        process.terminate()
        process.wait(20)
