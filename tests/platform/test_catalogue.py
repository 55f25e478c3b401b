"""What is on offer: simulated, or what NVML found."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from clouditia_jupyter.errors import ConfigurationError, InvalidRequestError
from clouditia_jupyter.platform.catalogue import (
    KNOWN_TYPES,
    Catalogue,
    canonical,
    detect,
    parse_counts,
    slug_of,
)
from clouditia_jupyter.platform.money import to_micro
from tests.platform.conftest import A


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("NVIDIA GeForce RTX 3090", "nvidia-rtx-3090"),
        ("NVIDIA GeForce RTX 3060 Ti", "nvidia-rtx-3060ti"),
        ("GeForce RTX 4090", "nvidia-rtx-4090"),
        ("NVIDIA A100-SXM4-80GB", "nvidia-a100-sxm4-80gb"),
        ("Tesla T4", "nvidia-tesla-t4"),
    ],
)
def test_a_drivers_name_becomes_a_slug(name: str, slug: str) -> None:
    assert slug_of(name) == slug


def test_either_spelling_is_the_same_type() -> None:
    assert canonical(" NVIDIA-RTX-3060-Ti ") == "nvidia-rtx-3060ti"
    assert Catalogue({}).resolve("nvidia-rtx-3080-ti") == "nvidia-rtx-3080ti"


def test_without_a_gpu_the_four_types_are_simulated() -> None:
    offer = Catalogue({})
    assert list(offer.types) == [kind.slug for kind in KNOWN_TYPES]
    assert all(kind.name.endswith("(simulated)") for kind in offer.types.values())
    assert {slot.device for slot in offer.slots} == {None}
    assert offer.price(A) == to_micro(0.98)


def test_an_unknown_type_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequestError, match="nvidia-rtx-3090, nvidia-rtx-4090"):
        Catalogue({}).resolve("nvidia-h100")


def test_counts_are_read_and_refused() -> None:
    assert parse_counts("nvidia-rtx-3060-ti=2, nvidia-h100=1") == {
        "nvidia-rtx-3060ti": 2,
        "nvidia-h100": 1,
    }
    for text in ("", "a", "a=", "a=x", "a=-1", "a=0", "=1", "a=1,a=2", "a=99999", "a b=1"):
        with pytest.raises(ConfigurationError, match="--gpus"):
            parse_counts(text)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make NVML find two GPUs of one type."""
    nvml = ModuleType("pynvml")
    found = [SimpleNamespace(uuid="GPU-a"), SimpleNamespace(uuid="GPU-b")]
    calls = {
        "nvmlInit": lambda: None,
        "nvmlShutdown": lambda: None,
        "nvmlDeviceGetCount": lambda: len(found),
        "nvmlDeviceGetHandleByIndex": lambda index: found[index],
        "nvmlDeviceGetName": lambda handle: "NVIDIA GeForce RTX 3090",
        "nvmlDeviceGetUUID": lambda handle: handle.uuid,
        "NVMLError": RuntimeError,
    }
    for name, value in calls.items():
        setattr(nvml, name, value)
    monkeypatch.setitem(sys.modules, "pynvml", nvml)


@pytest.mark.usefixtures("two_gpus")
def test_what_is_found_is_offered() -> None:
    offer = detect()
    assert [(kind.slug, kind.name) for kind in offer.types.values()] == [
        (A, "NVIDIA GeForce RTX 3090")
    ]
    assert [slot.device for slot in offer.slots] == ["GPU-a", "GPU-b"]


@pytest.mark.usefixtures("two_gpus")
def test_fewer_than_found_can_be_offered_but_not_more() -> None:
    assert [slot.device for slot in detect({A: 1}).slots] == ["GPU-a"]
    mixed = detect({A: 1, "nvidia-rtx-4090": 1})
    assert [slot.device for slot in mixed.slots] == ["GPU-a", None]
    with pytest.raises(ConfigurationError, match="this machine has 2"):
        detect({A: 3})
