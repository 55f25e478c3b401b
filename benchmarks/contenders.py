"""Who is compared: a stock local kernel, ipyparallel's ``%%px``, and this project's own magic."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel

if TYPE_CHECKING:
    from clouditia_jupyter import LiveSession

Run = Callable[[str], object]


@contextlib.contextmanager
def bare_kernel(output: Callable[[Any], None] = lambda message: None) -> Iterator[Run]:
    """A stock kernel on this machine, through ``execute_interactive``; ``output`` gets messages."""
    manager, client = start_new_kernel()
    try:
        yield lambda code: client.execute_interactive(code, allow_stdin=False, output_hook=output)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@contextlib.contextmanager
def engine() -> Iterator[Any]:
    """ipyparallel's client, with one engine."""
    import ipyparallel

    cluster = ipyparallel.Cluster(n=1, log_level=40)
    with contextlib.redirect_stderr(io.StringIO()):
        engines = cluster.start_and_connect_sync(activate=True)
    try:
        yield engines
    finally:
        cluster.stop_cluster_sync()


@contextlib.contextmanager
def px(shell: InteractiveShell) -> Iterator[Run]:
    """ipyparallel's cell magic with one engine."""
    with engine() as engines:
        view = engines[:]
        view.block = True
        view.activate()
        yield lambda code: quietly(shell, "px", code)


@contextlib.contextmanager
def clouditia(shell: InteractiveShell, *, stock: bool = False) -> Iterator[Run]:
    """``%%clouditia_run`` on a local platform of its own, in a session with all cores.

    With ``stock`` the platform serves what clouditia.com serves: cells go through the agent.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as state, own_state(state):
        if stock:
            start_stock(state)
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


@contextlib.contextmanager
def session() -> Iterator[LiveSession]:
    """A session of a local platform, as a program uses it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as state, own_state(state):
        from clouditia_jupyter import GPUManager, LiveSession
        from clouditia_jupyter.notebook.starter import find_or_start

        service = find_or_start(Path(state))
        with GPUManager(service.api_key, service.computing_url) as manager:
            made = manager.create_session("nvidia-rtx-3090", vcpu=2, ram=8, verbose=False)
            with LiveSession(manager.generate_sdk_key(made), service.editor_url) as live:
                yield live
            manager.stop_session(made, verbose=False)
        end_platform(state)


def start_stock(state: str) -> None:
    """Start a platform without capabilities; it is found in its state folder."""
    command = [sys.executable, "-m", "clouditia_jupyter.platform", "--state", state, "--stock"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    process.stdout.readline()


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

    import psutil

    with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):
        told = json.loads((Path(state) / "platform.json").read_text())
        process = psutil.Process(told["pid"])
        process.terminate()
        process.wait(20)
