"""The ASGI application, made of its parts by one constructor."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.middleware import Middleware

import clouditia_jupyter
from clouditia_jupyter.platform.faults import HANDLERS
from clouditia_jupyter.platform.routes import (
    computing,
    editor,
    overview,
    page,
    queue,
    runs,
    sessions,
)
from clouditia_jupyter.platform.service import Service


def make_app(service: Service) -> FastAPI:
    """Return the application that serves both APIs of ``service``."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await service.open()
        yield
        await service.close()

    routers = [computing.router, sessions.router, queue.router, editor.router, page.router]
    if not service.settings.stock:
        routers += [editor.extensions, overview.router, runs.router]
    app = FastAPI(
        title="Clouditia, embedded platform",
        version=clouditia_jupyter.__version__,
        docs_url=None,  # that page would load scripts from elsewhere
        redoc_url=None,
        exception_handlers=HANDLERS,
        lifespan=lifespan,
        routes=[route for router in routers for route in router.routes],
        middleware=[Middleware(service.activity.middleware)],
    )
    app.state.service = service
    return app
