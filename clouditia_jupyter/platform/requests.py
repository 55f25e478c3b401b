"""What somebody asks for when they create a session, checked against what there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from clouditia_jupyter.errors import InvalidRequestError
from clouditia_jupyter.platform.catalogue import Catalogue


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """A request that could be granted on this machine, if not now then later.

    Attributes
    ----------
    gpus
        ``{slug: count}``, in the order asked for.
    ram, storage
        GB.
    cost_limit, duration_limit
        Micro-euros and seconds; None is no limit.
    allow_partial
        Whether fewer GPUs than asked for will do, if there is at least one.
    """

    gpus: Mapping[str, int]
    vcpu: int
    ram: int
    storage: int
    allow_partial: bool = False
    cost_limit: int | None = None
    duration_limit: int | None = None
    extra_config: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the form in which a ticket keeps it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SessionRequest:
        """Return the request that a ticket kept."""
        return cls(**data)


def check_gpus(catalogue: Catalogue, asked: list[tuple[str, int]]) -> dict[str, int]:
    """Return ``{slug: count}``, equal slugs added up.

    Raises
    ------
    InvalidRequestError
        If a type is unknown, or there are fewer of it in all than asked for.
    """
    wants: dict[str, int] = {}
    for given, count in asked:
        slug = catalogue.resolve(given)
        wants[slug] = wants.get(slug, 0) + count
    for slug, count in wants.items():
        total = catalogue.total(slug)
        if count > total:
            raise InvalidRequestError(
                f"{count} GPUs of type {slug} were asked for, but only {total} exist here; "
                f"ask for at most {total}."
            )
    return wants
