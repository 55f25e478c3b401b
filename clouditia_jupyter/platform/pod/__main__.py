"""Starts one pod: ``python -m clouditia_jupyter.platform.pod --folder F --runtime R --hide D …``.

Prints one JSON line on standard output once the kernel answers, ``{"url", "token", "pid",
"created"}``, or ``{"error"}``; from then on it needs nobody. It ends by itself where nobody could
end it any more: while it has no session, with the platform that started it; with a session, at the
session's limit if there is no platform to keep it, and when its folder has been removed.
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

from clouditia_jupyter.errors import SessionLostError
from clouditia_jupyter.platform.pod.identity import Identity
from clouditia_jupyter.platform.pod.pod import Pod
from clouditia_jupyter.platform.pod.sandbox import Sandbox, find_bwrap

if TYPE_CHECKING:
    import uvicorn

_LOOK_SECONDS = 1.0


def main() -> int:
    """Run the pod until it is stopped; return the exit status."""
    parser = argparse.ArgumentParser(prog="clouditia_jupyter.platform.pod")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--runtime", type=Path, required=True)
    parser.add_argument("--parent", type=int, default=os.getppid())
    parser.add_argument("--owner", default="")
    parser.add_argument("--hide", type=Path, action="append", default=[])
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        asyncio.run(_serve(options))
    except SessionLostError as error:
        _tell({"error": str(error)})
        return 1
    finally:
        shutil.rmtree(options.runtime, ignore_errors=True)
    return 0


async def _serve(options: argparse.Namespace) -> None:
    folder: Path = options.folder
    identity = Identity.own(options.runtime, options.owner)
    identity.write(folder)
    workspace, scratch = folder / "workspace", folder / "tmp"
    for path in (workspace, scratch):
        path.mkdir(exist_ok=True)
    sandbox = Sandbox(workspace, scratch, options.runtime, tuple(options.hide), find_bwrap())
    pod = Pod(sandbox, folder)
    token = secrets.token_urlsafe(32)
    pod.parcels.open()
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
        url = f"http://127.0.0.1:{port}"
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.002)
        _tell({"url": url, "token": token, "pid": identity.pid, "created": identity.created})
        orphan = asyncio.create_task(_end_forsaken(pod, server, options.parent, identity, folder))
        try:
            await serving
        finally:
            orphan.cancel()
            await pod.close()


async def _end_forsaken(
    pod: Pod, server: uvicorn.Server, parent: int, identity: Identity, folder: Path
) -> None:
    """End a pod that no platform can end, or make a session of, any more."""
    while not server.should_exit:
        await asyncio.sleep(_LOOK_SECONDS)
        if pod.session_id is None:
            server.should_exit = os.getppid() != parent
        elif pod.expired:
            identity.expire(folder)
            server.should_exit = True
        server.should_exit = server.should_exit or is_gone(folder)


def is_gone(folder: Path) -> bool:
    """Say whether a folder has been removed; one that cannot be looked at just now has not."""
    try:
        folder.stat()
    except FileNotFoundError:
        return True
    except OSError:
        pass
    return False


def _tell(line: dict[str, object]) -> None:
    """Write the one line that the platform waits for, then let go of its pipe."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
    os.dup2(2, 1)


if __name__ == "__main__":
    sys.exit(main())
