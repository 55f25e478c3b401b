"""Execute notebooks on a platform of their own, write them to HTML, and leave nothing running.

``python notebooks/run.py NOTEBOOK…`` is what ``make demo`` does. The platform's state, the executed
notebooks and the pages go into the folder ``--build`` (``build/demo``), so the user's own platform
is not touched. Exits with 1 if a cell fails.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbconvert import HTMLExporter

from clouditia_jupyter import ClouditiaError, GPUManager
from clouditia_jupyter.models import LIVE_STATUSES
from clouditia_jupyter.notebook import starter

#: Seconds that one cell may take.
CELL_TIMEOUT = 300
#: Seconds that the platform may take to end.
EXIT_TIMEOUT = 30
SHOWN_LINES = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the notebooks that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description="Execute notebooks and write them to HTML.")
    parser.add_argument("notebooks", nargs="+", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--build", type=Path, default=Path("build/demo"), metavar="DIR")
    given = parser.parse_args(arguments)
    build = given.build.absolute()
    build.mkdir(parents=True, exist_ok=True)
    _only_here(build)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with platform(build / "state"):
            succeeded = [execute(notebook, build) for notebook in given.notebooks]
    except KeyboardInterrupt:
        say("Interrupted.")
        return 130
    except ClouditiaError as error:
        say(f"{type(error).__name__}: {error}")
        return 1
    return 0 if all(succeeded) else 1


def _only_here(build: Path) -> None:
    """Let the kernels see this environment and this platform, not the user's own."""
    for name in ("CLOUDITIA_API_KEY", "CLOUDITIA_BASE_URL", "CLOUDITIA_EDITOR_URL"):
        os.environ.pop(name, None)
    os.environ["CLOUDITIA_STATE"] = str(build / "state")
    os.environ["IPYTHONDIR"] = str(build / "ipython")
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"


@contextlib.contextmanager
def platform(state: Path) -> Iterator[None]:
    """Run a platform on the state folder; at the end stop its sessions, then itself.

    One that an earlier run was killed before it could end is taken over, and ended as well.
    """
    service = starter.find_or_start(state)
    say(f"Platform at {service.computing_url}")
    try:
        yield
    finally:
        before = {
            name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            stop_everything(state)
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)


def stop_everything(state: Path) -> None:
    """End every session of the platform, then the platform, and say so."""
    # a platform that crashed is started again: its sessions outlived it, and they bill
    service = starter.find_or_start(state)
    with GPUManager(service.api_key, service.computing_url) as manager:
        for session in manager.list_sessions():
            if session.status in LIVE_STATUSES:
                manager.stop_session(session.id, verbose=False)
                say(f"Stopped session {session.name}, which was left running.")
    pid = int(json.loads((state / "platform.json").read_text())["pid"])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + EXIT_TIMEOUT
    while _runs(pid):
        if time.monotonic() > deadline:
            say(f"The platform (process {pid}) did not end; its log is {state / 'platform.log'}.")
            return
        time.sleep(0.02)
    say("No session is left, and the platform has ended.")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def execute(path: Path, build: Path) -> bool:
    """Execute one notebook, saying what each cell shows; return whether every cell succeeded.

    What was executed is written to ``build`` in any case, as a notebook and as a page.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT,
        resources={"metadata": {"path": str(path.absolute().parent)}},
        on_cell_executed=_show,
        # not the kernel's remark that its traffic is plain: it stays on this machine
        extra_arguments=["--log-level=ERROR"],
    )
    say(f"\n{path.name}")
    try:
        client.execute()
    except CellExecutionError:
        problem = "a cell failed"  # its traceback was shown
    except (CellTimeoutError, RuntimeError) as error:  # a kernel that dies or does not start
        problem = str(error).rstrip(".")
    else:
        problem = ""
    executed, page = build / path.name, build / f"{path.stem}.html"
    nbformat.write(notebook, executed)
    html, _ = HTMLExporter(template_name="lab").from_notebook_node(
        notebook, {"metadata": {"name": path.stem}}
    )
    page.write_text(html, encoding="utf-8")
    say(f"\n{f'Stopped: {problem}.' if problem else 'Every cell succeeded.'} Read it at {page}")
    return not problem


def _show(cell: Any, cell_index: int, **_: Any) -> None:
    """Say in short what a code cell was and what it showed."""
    if cell.cell_type != "code" or not cell.source.strip():
        return
    first, *rest = cell.source.strip().splitlines()
    say(f"\n[{cell.execution_count}] {first}{' …' if rest else ''}")
    lines = [line for output in _joined(cell.outputs) for line in _in_short(output)]
    for line in lines:
        say(f"    {line}")


def _joined(outputs: Sequence[Any]) -> list[Any]:
    """Put neighbouring pieces of one stream together."""
    joined: list[Any] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if output.output_type == "stream" and last and last.get("name") == output.name:
            joined[-1] = nbformat.from_dict({**last, "text": last["text"] + output.text})
        else:
            joined.append(output)
    return joined


def _in_short(output: Any) -> list[str]:
    if output.output_type == "error":
        return "\n".join(output.traceback).splitlines()
    if output.output_type == "stream":
        text = output.text
    else:
        images = [kind for kind in output.data if kind.startswith("image/")]
        text = f"<{images[0]}>" if images else output.data.get("text/plain", "")
    lines = text.rstrip().splitlines()
    more = len(lines) - SHOWN_LINES
    return lines if more <= 1 else [*lines[:SHOWN_LINES], f"… {more} lines more"]


def say(text: str) -> None:
    """Write one line for the user to read."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
