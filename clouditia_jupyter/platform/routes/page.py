"""The page that a session's ``url`` opens: which session it is, and how it fares."""

from html import escape
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection

from clouditia_jupyter.platform import account, sessions
from clouditia_jupyter.platform.routes.access import REFUSALS, PlatformService

router = APIRouter(tags=["page"], responses=REFUSALS)

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{name}</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }}
body {{ margin: 4rem auto; max-width: 36rem; padding: 0 1rem }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem }}
dt {{ opacity: .7 }} dd {{ margin: 0 }}
</style>
<h1>{name}</h1>
<dl>
<dt>Session</dt><dd><code>{short_id}</code></dd>
<dt>Status</dt><dd>{status}</dd>
<dt>GPU</dt><dd>{gpus}</dd>
</dl>
<p>Run cells in it from a notebook: <code>%clouditia use {short_id}</code></p>
</html>
"""


@router.get("/code-editor/{short_id}/", response_class=HTMLResponse)
async def session_page(
    short_id: Annotated[str, Path(max_length=36)], service: PlatformService
) -> HTMLResponse:
    """Show a session: its name, GPUs and status, nothing that is secret."""
    session = await service.store.run(_find, short_id)
    gpus = ", ".join(f"{quantity} × {slug}" for slug, quantity in session.gpus.items())
    page = _PAGE.format(
        name=escape(session.row.name),
        short_id=escape(session.id[:8]),
        status=escape(session.status),
        gpus=escape(gpus),
    )
    return HTMLResponse(page, headers=_HEADERS)


def _find(connection: Connection, given: str) -> sessions.Session:
    return sessions.find(connection, account.only(connection), given)
