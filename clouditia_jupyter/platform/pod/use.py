"""What a session uses of its machine: processor, memory, and its real GPUs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from typing import Any

import psutil

from clouditia_jupyter.platform.pod.processes import tree

#: Memory is told in steps of this many bytes, so that an idle kernel's breathing is no news.
_STEP = 16 << 20


class Gauge:
    """Reads what a pod's processes use; the processor's share is that since the last reading."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._seconds: dict[tuple[int, float], float] = {}

    def read(self, devices: Sequence[str]) -> dict[str, Any]:
        """Return what everything that the session started uses; takes some milliseconds.

        Parameters
        ----------
        devices
            CUDA's ids of the session's GPUs; simulated ones have none.

        Returns
        -------
        dict
            ``cpu_percent`` (100 is one core), ``memory_bytes``, and ``gpus``: one dict each with
            ``name``, ``percent``, ``memory_bytes`` and ``memory_total_bytes``.
        """
        now, seconds, memory = time.monotonic(), {}, 0
        for process in tree(os.getpid())[1:]:  # less the pod itself, which is none of the user's
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                spent, held = process.cpu_times(), process.memory_info()
                seconds[process.pid, process.create_time()] = spent.user + spent.system
                memory += held.rss - held.shared
        used = sum(spent - self._seconds.get(one, 0.0) for one, spent in seconds.items())
        elapsed, first = now - self._at, not self._seconds
        self._at, self._seconds = now, seconds
        return {
            "cpu_percent": 0 if first or elapsed <= 0 else round(100 * used / elapsed),
            "memory_bytes": round(memory / _STEP) * _STEP,
            "gpus": gpus(devices) if devices else [],
        }


def gpus(devices: Sequence[str]) -> list[dict[str, Any]]:
    """Return what the driver says of these GPUs; nothing where it does not answer."""
    try:
        import pynvml
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_gpu(pynvml, device) for device in devices]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu(pynvml: Any, device: str) -> dict[str, Any]:
    handle = pynvml.nvmlDeviceGetHandleByUUID(device)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return {
        "name": str(pynvml.nvmlDeviceGetName(handle)),
        "percent": int(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu),
        "memory_bytes": round(memory.used / _STEP) * _STEP,
        "memory_total_bytes": int(memory.total),
    }
