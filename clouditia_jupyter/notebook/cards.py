"""Cards: how a session, an inventory and a ticket look as the last expression of a cell.

Importing this registers them with :func:`clouditia_jupyter.models.card`. A card names what it
shows: no password, and no key, gets into one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clouditia_jupyter.models import GPUInventory, GPUSession, Inventory, QueueJob, card
from clouditia_jupyter.notebook import wording
from clouditia_jupyter.notebook.look import STYLE, escaped, link, status

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The columns of an inventory, and the classes of each.
_COLUMNS = {
    "GPU": "",
    "Available": "clouditia-number",
    "EUR / hour": "clouditia-number",
    "Where": "clouditia-wide",
}


@card.register
def session_card(session: GPUSession) -> str:
    """Return the card of a session."""
    step = session.creation_step if session.status in ("pending", "creating") else ""
    rows = {
        name: link(value) if name == "Page" else escaped(value)
        for name, value in wording.facts(session).items()
    }
    return _card(session.name or session.short_id, status(session.status, step), rows)


@card.register
def ticket_card(ticket: QueueJob) -> str:
    """Return the card of a ticket."""
    rows = {name: escaped(value) for name, value in wording.ticket_facts(ticket).items()}
    return _card(f"Ticket {ticket.queue_id[:8]}", status(ticket.status), rows)


@card.register
def inventory_card(items: Inventory) -> str:
    """Return the card of what is on offer: a row for each type."""
    if not items:
        return _page('<div class="clouditia-card clouditia-quiet">Nothing is on offer now.</div>')
    heads = "".join(_cell("th", name, name) for name in _COLUMNS)
    rows = "".join(f"<tr>{_row(item)}</tr>" for item in items)
    return _page(
        '<div class="clouditia-card clouditia-scroll"><table class="clouditia-table">'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


@card.register
def offer_card(item: GPUInventory) -> str:
    """Return the card of one type on offer."""
    return inventory_card(Inventory([item]))


def _row(item: GPUInventory) -> str:
    places = dict.fromkeys(part for part in (item.datacenter, item.cluster_name) if part)
    name = f'<span class="clouditia-name">{escaped(item.gpu_name or item.gpu_type)}</span>'
    if item.gpu_name:
        name += f' <span class="clouditia-quiet">{escaped(item.gpu_type)}</span>'
    values = (
        name,
        escaped(f"{item.available} of {item.total}" if item.total else item.available),
        escaped(f"{item.price_per_hour:.2f}"),
        escaped(" · ".join(places)),
    )
    return "".join(
        _cell("td", column, value) for column, value in zip(_COLUMNS, values, strict=True)
    )


def _cell(tag: str, column: str, inner: str) -> str:
    scope = ' scope="col"' if tag == "th" else ""
    return f'<{tag}{scope} class="{_COLUMNS[column]}">{inner}</{tag}>'


def _card(title: str, state: str, rows: Mapping[str, str]) -> str:
    """Return a card of a title, a status (HTML), and rows of a name and its HTML."""
    facts = "".join(f"<dt>{escaped(name)}</dt><dd>{value}</dd>" for name, value in rows.items())
    return _page(
        '<div class="clouditia-card"><div class="clouditia-head">'
        f'<span class="clouditia-name">{escaped(title)}</span>{state}</div>'
        f'<dl class="clouditia-facts">{facts}</dl></div>'
    )


def _page(inner: str) -> str:
    return f'<div class="clouditia"><style>{STYLE}</style>{inner}</div>'
