"""Adds credit to a state folder's account, whether its platform runs or not."""

from __future__ import annotations

from sqlalchemy import Connection

from clouditia_jupyter.platform import account, clock, ledger, sessions
from clouditia_jupyter.platform.money import to_eur, to_micro
from clouditia_jupyter.platform.options import Options
from clouditia_jupyter.platform.state import StateFolder
from clouditia_jupyter.platform.store import Store


def top_up(options: Options, state: StateFolder, eur: float) -> str:
    """Add ``eur`` to the account and return a sentence with the new balance."""
    state.make()
    store = Store(options.database or state.database_url())
    try:
        left = store.run_now(_grant, to_micro(eur), to_micro(options.credit))
    finally:
        store.close()
    return f"Added {eur:.2f} EUR; the balance is now {to_eur(left):.2f} EUR."


def _grant(connection: Connection, amount: int, initial: int) -> int:
    now = clock.PlatformClock(clock.load_anchor(connection)).now()
    account_id = account.ensure(connection, initial, now)
    ledger.grant(connection, account_id, amount, "top-up", now)
    return ledger.balance(connection, account_id, sessions.meters(connection), now)
