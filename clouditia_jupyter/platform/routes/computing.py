"""The computing API: the account, money, the inventory, and what this platform does not do."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from clouditia_jupyter.errors import InvalidRequestError, UnsupportedError
from clouditia_jupyter.platform import account as accounts
from clouditia_jupyter.platform import allocation, answers, bodies, ledger, sessions, views
from clouditia_jupyter.platform.money import to_eur
from clouditia_jupyter.platform.routes.access import PREFIX, REFUSALS, Account, PlatformService
from clouditia_jupyter.platform.routes.sessions import CLUSTER_ID
from clouditia_jupyter.platform.service import Service

CAPABILITIES = ("idempotency", "wait", "overview", "runs")
_PLACE = "This machine"
_LIVE = ("running",)

router = APIRouter(prefix=PREFIX, tags=["computing"], responses=REFUSALS)


@router.get("/verify/", response_model_exclude_unset=True)
async def verify(service: PlatformService, account: Account) -> answers.Verified:
    """Say whose key it is, and what this platform can beyond the stock service."""
    row = await service.store.run(accounts.load, account)
    user = answers.User(username=row.username, email=row.email)
    if service.settings.stock:
        return answers.Verified(valid=True, user=user)
    return answers.Verified(valid=True, user=user, capabilities=list(CAPABILITIES))


@router.get("/inventory/")
async def inventory(
    service: PlatformService,
    account: Account,
    cluster_id: Annotated[str, Query(max_length=100)] = "",
) -> answers.InventoryAnswer:
    """List the GPU types on offer, and how many are free."""
    if cluster_id not in ("", CLUSTER_ID):
        raise InvalidRequestError(
            f"There is no cluster {cluster_id!r}; leave it out, or use {CLUSTER_ID!r}."
        )
    return answers.InventoryAnswer(inventory=await service.store.run(stock_items, service))


@router.get("/clusters/")
async def clusters(service: PlatformService, account: Account) -> answers.ClustersAnswer:
    """List the clusters: this machine."""
    here = answers.ClusterItem(
        cluster_id=CLUSTER_ID,
        name=_PLACE,
        is_primary=True,
        gpu_count=len(service.catalogue.slots),
    )
    return answers.ClustersAnswer(clusters=[here])


@router.get("/balance/")
async def balance(service: PlatformService, account: Account) -> answers.BalanceAnswer:
    """Say what is left to spend, with what runs now taken off."""
    left = await service.store.run(_balance, account, service.clock.now())
    return answers.BalanceAnswer(balance=to_eur(left))


@router.get("/sessions/cost/")
async def cost(
    session_id: bodies.SessionId, service: PlatformService, account: Account
) -> answers.OneCostAnswer:
    """Say what a session has cost so far."""
    session = await service.store.run(sessions.find, account, session_id)
    found = views.cost_answer(session, service.clock.now())
    return answers.OneCostAnswer(**found.model_dump())


@router.post("/sessions/costs/")
async def costs(
    body: bodies.SessionIds, service: PlatformService, account: Account
) -> answers.CostsAnswer:
    """Say what several sessions have cost so far."""
    found = await service.store.run(_find_all, account, body.session_ids)
    return views.costs_answer(found, service.clock.now())


@router.get("/sessions/costs/")
async def all_costs(
    service: PlatformService, account: Account, active_only: bool = False
) -> answers.CostsAnswer:
    """Say what all sessions have cost so far, or those that run now."""
    statuses = _LIVE if active_only else None
    found = await service.store.run(sessions.listing, account, statuses)
    return views.costs_answer(found, service.clock.now())


@router.post("/email/", status_code=501)
async def email(body: bodies.Email, service: PlatformService, account: Account) -> answers.Refusal:
    """Not on this platform."""
    raise UnsupportedError("This platform sends no e-mail; show the message in the notebook.")


@router.post("/lambda/execute/", status_code=501)
async def execute_lambda(
    body: bodies.RunLambda, service: PlatformService, account: Account
) -> answers.Refusal:
    """Not on this platform."""
    raise _no_lambda()


@router.get("/lambda/status/", status_code=501)
async def lambda_status(
    queue_id: bodies.QueueId, service: PlatformService, account: Account
) -> answers.Refusal:
    """Not on this platform."""
    raise _no_lambda()


@router.get("/lambda/result/{lambda_id}/", status_code=501)
async def lambda_result(
    lambda_id: str, service: PlatformService, account: Account
) -> answers.Refusal:
    """Not on this platform."""
    raise _no_lambda()


def stock_items(connection: Connection, service: Service) -> list[answers.StockItem]:
    """Return the GPU types on offer, and how many are free."""
    usage = allocation.usage(connection)
    return [
        answers.StockItem(
            gpu_type=kind.slug,
            gpu_name=kind.name,
            available=usage[kind.slug].total - usage[kind.slug].in_use,
            on_demand=0,
            in_use=usage[kind.slug].in_use,
            total=usage[kind.slug].total,
            price_per_hour=kind.price_per_hour,
            datacenter=_PLACE,
            datacenter_code="LOCAL",
            cluster_id=CLUSTER_ID,
            cluster_name=_PLACE,
        )
        for kind in service.catalogue.types.values()
    ]


def _no_lambda() -> UnsupportedError:
    return UnsupportedError(
        "This platform runs no lambdas; create a session and run the code in it."
    )


def _balance(connection: Connection, account: str, now: datetime) -> int:
    return ledger.balance(connection, account, sessions.meters(connection), now)


def _find_all(
    connection: Connection, account: str, session_ids: list[str]
) -> list[sessions.Session]:
    found = [sessions.find(connection, account, given) for given in session_ids]
    return list({session.id: session for session in found}.values())
