"""What a session may use of its machine: guard rails, not isolation.

A process can still share memory that no limit counts, and one that distrusts its neighbours needs
a container. :mod:`watchdog` sums up the whole process tree.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

_GB = 1 << 30
_PR_SET_PDEATHSIG = 1
#: Address space that a fresh interpreter with its libraries has mapped before it does anything.
_BASELINE = 256 << 20


@dataclass(frozen=True)
class Limits:
    """Resources of one session.

    Attributes
    ----------
    cpus
        Numbers of the cores that it may run on.
    memory_bytes, file_bytes
        Beyond these a run meets ``MemoryError``, and a file ``OSError``.
    cuda_devices
        Ids of its real GPUs; none for simulated ones.
    """

    cpus: tuple[int, ...]
    memory_bytes: int
    file_bytes: int
    cuda_devices: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        cpus: list[int],
        ram_gb: int,
        storage_gb: int,
        cuda_devices: list[str],
        extra: Mapping[str, str],
    ) -> Limits:
        """Return limits from the sizes of the wire, in GB."""
        return cls(tuple(cpus), ram_gb * _GB, storage_gb * _GB, tuple(cuda_devices), dict(extra))

    def environment(self) -> dict[str, str]:
        """Return the variables by which numeric libraries learn of the limits."""
        threads = str(len(self.cpus))
        names = ("OMP", "OPENBLAS", "MKL", "NUMEXPR")
        return {
            **{f"{name}_NUM_THREADS": threads for name in names},
            "CUDA_VISIBLE_DEVICES": ",".join(self.cuda_devices),
            **self.extra,
        }

    def apply(self) -> None:
        """Limit the calling process, and what it starts; for use between fork and exec.

        It ends with its pod as well.
        """
        end_with_parent()
        os.sched_setaffinity(0, self.cpus)
        for what, soft in (
            (resource.RLIMIT_DATA, _BASELINE + self.memory_bytes),
            (resource.RLIMIT_FSIZE, self.file_bytes),
        ):
            resource.setrlimit(what, (soft, resource.getrlimit(what)[1]))

    def expression(self) -> str:
        """Return the expression by which a kernel that runs already limits itself."""
        arguments = (list(self.cpus), self.memory_bytes, self.file_bytes, self.environment())
        return f"{call('configure')}{arguments!r}"


def end_with_parent() -> None:
    """Let the calling process be killed when the one that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def call(function: str) -> str:
    """Return an expression for a function of the kernel's entry module."""
    module = "clouditia_jupyter.platform.pod.entry"
    return f"__import__('sys').modules[{module!r}].{function}"
