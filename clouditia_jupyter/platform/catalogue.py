"""The GPUs on offer: detected with NVML, or simulated where there are none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from clouditia_jupyter.errors import ConfigurationError, InvalidRequestError
from clouditia_jupyter.platform.money import to_micro


@dataclass(frozen=True, slots=True)
class GPUType:
    """A model of GPU: its slug, what people call it, EUR per hour and GPU."""

    slug: str
    name: str
    price_per_hour: float


#: What the platform rents out where no GPU is found, and the prices of these wherever they are.
KNOWN_TYPES = (
    GPUType("nvidia-rtx-3060ti", "NVIDIA RTX 3060 Ti", 0.42),
    GPUType("nvidia-rtx-3080ti", "NVIDIA RTX 3080 Ti", 0.76),
    GPUType("nvidia-rtx-3090", "NVIDIA RTX 3090", 0.98),
    GPUType("nvidia-rtx-4090", "NVIDIA RTX 4090", 1.54),
)
#: EUR per hour of a detected GPU that is none of these.
OTHER_PRICE = 1.20
#: How many of each simulated type there are unless ``--gpus`` says otherwise.
SIMULATED_COUNT = 2
MOST_GPUS = 1024

_KNOWN = {kind.slug: kind for kind in KNOWN_TYPES}


@dataclass(frozen=True, slots=True)
class Slot:
    """One GPU; ``device`` is CUDA's UUID, None for a simulated one."""

    id: str
    slug: str
    device: str | None


class Catalogue:
    """The GPU types on offer and the slots of each.

    Parameters
    ----------
    devices
        Slug to the CUDA UUIDs of the detected GPUs of that type.
    counts
        Slug to how many to offer; None offers what was detected, or the simulated four.
    names
        Slug to the name of detected types.
    """

    def __init__(
        self,
        devices: Mapping[str, list[str]],
        counts: Mapping[str, int] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        if counts is None:
            counts = {slug: len(found) for slug, found in devices.items()} or {
                kind.slug: SIMULATED_COUNT for kind in KNOWN_TYPES
            }
        self.types: dict[str, GPUType] = {}
        self.slots: list[Slot] = []
        for slug, count in counts.items():
            found = devices.get(slug, [])
            if found and count > len(found):
                raise ConfigurationError(
                    f"--gpus asks for {count} {slug}, but this machine has {len(found)}; "
                    "ask for at most that many."
                )
            self.types[slug] = self._type(slug, (names or {}).get(slug), simulated=not found)
            self.slots += [
                Slot(f"{slug}#{n}", slug, found[n] if found else None) for n in range(count)
            ]

    @staticmethod
    def _type(slug: str, name: str | None, *, simulated: bool) -> GPUType:
        known = _KNOWN.get(slug)
        name = name or (known.name if known else slug)
        price = known.price_per_hour if known else OTHER_PRICE
        return GPUType(slug, f"{name} (simulated)" if simulated else name, price)

    def total(self, slug: str) -> int:
        """Return how many GPUs of this type there are, free or not."""
        return sum(slot.slug == slug for slot in self.slots)

    def price(self, slug: str) -> int:
        """Return micro-euros per hour for one GPU of this type."""
        return to_micro(self.types[slug].price_per_hour)

    def resolve(self, given: str) -> str:
        """Return the slug that ``given`` means, in whichever spelling.

        Raises
        ------
        InvalidRequestError
            If it names no type on offer; the message lists those that are.
        """
        slug = canonical(given)
        if slug not in self.types:
            known = ", ".join(self.types)
            raise InvalidRequestError(
                f"There is no GPU type {given[:80]!r} here; choose one of {known}."
            )
        return slug


def canonical(slug: str) -> str:
    """Return the one spelling of a slug: newer servers write ``3060-ti`` for ``3060ti``."""
    return re.sub(r"(\d)-ti\b", r"\1ti", slug.strip().lower())


def parse_counts(text: str) -> dict[str, int]:
    """Return the counts in ``SLUG=COUNT,…``.

    Raises
    ------
    ConfigurationError
        If it is written any other way.
    """
    counts: dict[str, int] = {}
    for part in text.split(","):
        slug, _, count = part.partition("=")
        slug = canonical(slug)
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,79}", slug) or not re.fullmatch(
            r"\d{1,4}", count.strip()
        ):
            raise ConfigurationError(
                f"--gpus cannot read {part!r}; write it as nvidia-rtx-3090=2,nvidia-rtx-4090=1."
            )
        if slug in counts or not 1 <= int(count) <= MOST_GPUS:
            raise ConfigurationError(
                f"--gpus needs each type once, with a count of 1 to {MOST_GPUS}, not {part!r}."
            )
        counts[slug] = int(count)
    return counts


def detect(counts: Mapping[str, int] | None = None) -> Catalogue:
    """Return what this machine has to offer."""
    devices: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for name, uuid in _nvidia_gpus():
        slug = slug_of(name)
        names.setdefault(slug, name)
        devices.setdefault(slug, []).append(uuid)
    return Catalogue(devices, counts, names)


def slug_of(name: str) -> str:
    """Return the slug of a GPU that its driver calls ``name``."""
    words: Iterable[str] = re.findall(r"[a-z0-9]+", name.lower())
    words = [word for word in words if word != "geforce"]
    return canonical("-".join(words if "nvidia" in words else ["nvidia", *words]))


def _nvidia_gpus() -> Iterator[tuple[str, str]]:
    """Yield name and UUID of each GPU; none where there is no driver."""
    try:
        import pynvml
    except ImportError:
        return
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            yield pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetUUID(handle)
    finally:
        pynvml.nvmlShutdown()
