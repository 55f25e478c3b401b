"""Serves the platform on a socket, says when it is ready, and leaves cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys

import uvicorn
import uvloop

from clouditia_jupyter.platform import catalogue, clock
from clouditia_jupyter.platform.app import make_app
from clouditia_jupyter.platform.archive import Archive
from clouditia_jupyter.platform.launcher import Launcher
from clouditia_jupyter.platform.listener import url_of
from clouditia_jupyter.platform.money import to_micro
from clouditia_jupyter.platform.options import Options
from clouditia_jupyter.platform.service import Service, Settings
from clouditia_jupyter.platform.state import StateFolder
from clouditia_jupyter.platform.store import Store

logger = logging.getLogger(__name__)

#: How long running requests may take to end when the platform leaves; clients come back.
_GRACE_SECONDS = 2
_GB = 1 << 30


class Server(uvicorn.Server):
    """Uvicorn that tells when it is ready, and lets waiting callers go before it leaves."""

    def __init__(self, config: uvicorn.Config, service: Service, state: StateFolder) -> None:
        super().__init__(config)
        self._service = service
        self._state = state
        self._where: dict[str, object] = {}

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then write ``platform.json`` and the ready line."""
        await super().startup(sockets)
        if not self.should_exit:
            settings = self._service.settings
            self._where = where = {
                "computing_url": settings.computing_url,
                "code_editor_url": settings.code_editor_url,
                "api_key": settings.api_key,
                "pid": os.getpid(),
            }
            gc.freeze()  # what has been made until now stays
            gc.enable()
            self._state.announce(where)
            sys.stdout.write(json.dumps(where) + "\n")
            sys.stdout.flush()

    async def on_tick(self, counter: int) -> bool:
        """Look after the state folder ten times as seldom as uvicorn looks after itself."""
        if counter % 10 == 0:
            if not self._state.path.exists():
                logger.error("the state folder %s is gone, and the platform ends", self._state.path)
                self.should_exit = True
            elif not self._state.is_announced(self._where):
                # else nobody would find the platform, nor could start another
                with contextlib.suppress(OSError):
                    self._state.announce(self._where)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop answering; nobody finds this platform any more."""
        self._state.withdraw()
        self._service.changes.close()
        await super().shutdown(sockets)


def serve(options: Options, state: StateFolder, listener: socket.socket) -> int:
    """Serve until a signal or until idle for long enough; return the exit code."""
    service = _make_service(options, state, listener)
    config = uvicorn.Config(
        make_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    server = Server(config, service, state)
    # uvicorn raises the signal again when it is done: by then it has been obeyed
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    uvloop.run(_run(server, listener, options.idle_exit))
    return 0 if server.started else 1


async def _run(server: Server, listener: socket.socket, idle_exit: float | None) -> None:
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    if idle_exit is not None:
        service = server._service
        idle = asyncio.ensure_future(service.activity.wait_until_idle(idle_exit, service.is_needed))
        await asyncio.wait((serving, idle), return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        idle.cancel()
    await serving


def _make_service(options: Options, state: StateFolder, listener: socket.socket) -> Service:
    settings = Settings(
        url=url_of(options.host, listener),
        api_key=state.account_key(),
        credit=to_micro(options.credit),
        stock=options.stock,
        clock_rate=options.clock_rate,
    )
    offer = catalogue.detect(options.gpus)
    store = Store(options.database or state.database_url(), exclusive=True)
    anchor = store.run_now(clock.load_anchor, options.clock_rate)
    archive = Archive(state.path / "pods", options.keep_days, int(options.keep_gb * _GB))
    launcher = Launcher(archive, spares=options.spares, hidden=(state.path,))
    return Service(settings, store, clock.PlatformClock(anchor), offer, launcher)
