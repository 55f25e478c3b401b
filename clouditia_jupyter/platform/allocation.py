"""Which session has which GPU: slots are taken and released, never shared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from clouditia_jupyter.platform.catalogue import Catalogue
from clouditia_jupyter.platform.store.schema import gpu_slots


class Usage(NamedTuple):
    """How many GPUs of a type are on offer, and how many of these a session has."""

    total: int
    in_use: int


def sync(connection: Connection, catalogue: Catalogue) -> None:
    """Make the stored slots those of the catalogue; a slot still in use goes when it is free."""
    stored = {row.id: row for row in connection.execute(select(gpu_slots))}
    wanted = {slot.id: slot for slot in catalogue.slots}
    for slot in catalogue.slots:
        values = {"slug": slot.slug, "device": slot.device, "offered": True}
        if slot.id in stored:
            connection.execute(update(gpu_slots).where(gpu_slots.c.id == slot.id).values(values))
        else:
            connection.execute(insert(gpu_slots).values(id=slot.id, **values))
    for gone in stored.keys() - wanted.keys():
        connection.execute(update(gpu_slots).where(gpu_slots.c.id == gone).values(offered=False))


def usage(connection: Connection) -> dict[str, Usage]:
    """Return the usage of every type on offer."""
    rows = connection.execute(
        select(gpu_slots.c.slug, func.count(), func.count(gpu_slots.c.session_id))
        .where(gpu_slots.c.offered)
        .group_by(gpu_slots.c.slug)
    )
    return {slug: Usage(total, in_use) for slug, total, in_use in rows}


def free(connection: Connection) -> dict[str, int]:
    """Return how many GPUs of each type nobody has."""
    return {slug: used.total - used.in_use for slug, used in usage(connection).items()}


def take(connection: Connection, session_id: str, wants: Mapping[str, int]) -> None:
    """Give the session as many free GPUs of each type as ``wants`` says.

    The caller has made sure, in the same transaction, that there are as many.
    """
    for slug, count in wants.items():
        chosen = connection.scalars(
            select(gpu_slots.c.id)
            .where(gpu_slots.c.slug == slug, gpu_slots.c.offered, gpu_slots.c.session_id.is_(None))
            .order_by(gpu_slots.c.id)
            .limit(count)
        ).all()
        taken = connection.execute(
            update(gpu_slots)
            .where(gpu_slots.c.id.in_(chosen), gpu_slots.c.session_id.is_(None))
            .values(session_id=session_id)
        ).rowcount
        if taken != count:
            raise RuntimeError(f"{count} {slug} were free, but only {taken} could be taken")


def devices(connection: Connection, session_id: str) -> tuple[str, ...]:
    """Return the CUDA UUIDs of the session's GPUs; simulated ones have none."""
    return tuple(
        connection.scalars(
            select(gpu_slots.c.device)
            .where(gpu_slots.c.session_id == session_id, gpu_slots.c.device.is_not(None))
            .order_by(gpu_slots.c.id)
        )
    )


def release(connection: Connection, session_id: str) -> None:
    """Take the session's GPUs back."""
    connection.execute(
        update(gpu_slots).where(gpu_slots.c.session_id == session_id).values(session_id=None)
    )
