"""The money record."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, insert
from sqlalchemy.exc import IntegrityError

from clouditia_jupyter.platform import account, ledger, sessions
from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.requests import SessionRequest
from clouditia_jupyter.platform.store import Store, schema
from tests.platform.conftest import START, A


@pytest.fixture
def payer(store: Store) -> str:
    return store.run_now(account.ensure, 1_000, START)


@pytest.fixture
def session_id(store: Store, payer: str) -> str:
    request = SessionRequest(gpus={}, vcpu=1, ram=1, storage=1)
    return store.run_now(sessions.create, payer, request, {}, Catalogue({}, {A: 1}), START)


def test_an_account_is_granted_its_first_credit_once(store: Store, payer: str) -> None:
    assert store.run_now(account.ensure, 1_000, START) == payer
    assert store.run_now(ledger.credit, payer) == 1_000


def test_grants_add_up(store: Store, payer: str) -> None:
    store.run_now(ledger.grant, payer, 234, "note", START)
    assert store.run_now(ledger.credit, payer) == 1_234


def test_a_session_is_charged_once(store: Store, payer: str, session_id: str) -> None:
    assert store.run_now(ledger.charge, payer, session_id, 400, START) == 400
    assert store.run_now(ledger.charge, payer, session_id, 999, START) == 400
    assert store.run_now(ledger.credit, payer) == 600


def test_the_database_itself_refuses_a_second_charge(
    store: Store, payer: str, session_id: str
) -> None:
    store.run_now(ledger.charge, payer, session_id, 400, START)

    def again(connection: Connection) -> None:
        values = {"account_id": payer, "kind": "session", "amount": -1, "session_id": session_id}
        connection.execute(insert(schema.ledger).values(created_at=START, **values))

    with pytest.raises(IntegrityError):
        store.run_now(again)
    assert store.run_now(ledger.credit, payer) == 600


def test_a_charge_never_takes_the_credit_below_zero(
    store: Store, payer: str, session_id: str
) -> None:
    assert store.run_now(ledger.charge, payer, session_id, 5_000, START) == 1_000
    assert store.run_now(ledger.credit, payer) == 0
