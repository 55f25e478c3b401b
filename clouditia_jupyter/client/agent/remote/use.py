"""What a session uses of its machine: processor, memory, and the GPUs that ``nvidia-smi`` sees."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from clouditia_jupyter.client.agent.remote.kernel import tree

#: Memory is told in steps of this many bytes, so that an idle kernel's breathing is no news.
_STEP = 16 << 20
_SMI = (
    "nvidia-smi",
    "--query-gpu=name,utilization.gpu,memory.used,memory.total",
    "--format=csv,noheader,nounits",
)
_SMI_SECONDS = 5.0


class Gauge:
    """Reads what this process has started; the processor's share is that since the last reading."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._seconds: dict[int, float] = {}

    def read(self) -> dict[str, Any]:
        """Return ``cpu_percent`` (100 is one core), ``memory_bytes``, and ``gpus``."""
        now, seconds, memory = time.monotonic(), {}, 0
        for pid in tree(os.getpid())[1:]:
            with contextlib.suppress(OSError):
                seconds[pid], held = _process(Path("/proc") / str(pid))
                memory += held
        used = sum(max(0.0, spent - self._seconds.get(pid, 0.0)) for pid, spent in seconds.items())
        elapsed, first = now - self._at, not self._seconds
        self._at, self._seconds = now, seconds
        return {
            "cpu_percent": 0 if first or elapsed <= 0 else round(100 * used / elapsed),
            "memory_bytes": round(memory / _STEP) * _STEP,
            "gpus": _gpus(),
        }


def _process(folder: Path) -> tuple[float, int]:
    """Return a process's processor seconds and the bytes that it shares with nobody."""
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    _, resident, shared, *_ = (folder / "statm").read_text().split()
    ticks = int(fields[11]) + int(fields[12])
    pages = int(resident) - int(shared)
    return ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE")


def _gpus() -> list[dict[str, Any]]:
    try:
        said = subprocess.run(
            _SMI, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SMI_SECONDS, check=True
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError):
        return []  # there is no GPU, or nothing that tells of it
    found = []
    for line in said.splitlines():
        with contextlib.suppress(ValueError):  # a card that does not say: [N/A]
            name, percent, used, total = line.rsplit(",", 3)
            found.append(
                {
                    "name": name.strip(),
                    "percent": int(percent),
                    "memory_bytes": int(used) << 20,
                    "memory_total_bytes": int(total) << 20,
                }
            )
    return found
