"""Starts one pod: ``python -m clouditia_jupyter.platform.pod --folder F --runtime R --hide D …``.

Prints one JSON line on standard output once the kernel answers, ``{"url", "token", "pid",
"created"}``, or ``{"error"}``; from then on it needs nobody. While it has no session it ends with
the process that started it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from clouditia_jupyter.errors import SessionLostError
from clouditia_jupyter.platform.pod.pod import Pod
from clouditia_jupyter.platform.pod.sandbox import Sandbox, find_bwrap

if TYPE_CHECKING:
    import uvicorn

_ORPHAN_SECONDS = 1.0


def main() -> int:
    """Run the pod until it is stopped; return the exit status."""
    parser = argparse.ArgumentParser(prog="clouditia_jupyter.platform.pod")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--hide", type=Path, action="append", default=[])
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        asyncio.run(_serve(options.folder, options.runtime, tuple(options.hide)))
    except SessionLostError as error:
        _tell({"error": str(error)})
        return 1
    finally:
        shutil.rmtree(options.runtime, ignore_errors=True)
    return 0


async def _serve(folder: Path, runtime: Path, hidden: tuple[Path, ...]) -> None:
    workspace = folder / "workspace"
    workspace.mkdir(exist_ok=True)
    pod = Pod(Sandbox(workspace, runtime, hidden, find_bwrap()), folder)
    token = secrets.token_urlsafe(32)
    await pod.kernel.spawn()
    # the kernel starts on another core while the web server loads here
    import uvicorn

    from clouditia_jupyter.platform.pod.api.app import build_app

    config = uvicorn.Config(
        build_app(pod, token, lambda: setattr(server, "should_exit", True)),
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=600,
        timeout_graceful_shutdown=1,
        http="httptools",
        ws="none",
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        await pod.kernel.ready()
        created = psutil.Process().create_time()
        url = f"http://127.0.0.1:{port}"
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.002)
        _tell({"url": url, "token": token, "pid": os.getpid(), "created": created})
        orphan = asyncio.create_task(_end_with_parent(pod, server, os.getppid()))
        try:
            await serving
        finally:
            orphan.cancel()
            await pod.close()


async def _end_with_parent(pod: Pod, server: uvicorn.Server, parent: int) -> None:
    """End a blank pod whose platform is gone: nobody would ever give it a session."""
    while pod.session_id is None:
        await asyncio.sleep(_ORPHAN_SECONDS)
        if pod.session_id is None and os.getppid() != parent:
            server.should_exit = True
            return


def _tell(line: dict[str, object]) -> None:
    """Write the one line that the platform waits for, then let go of its pipe."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    os.dup2(2, 1)


if __name__ == "__main__":
    sys.exit(main())
