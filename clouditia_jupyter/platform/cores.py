"""Which pod runs on which cores of this machine."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable


class Cores:
    """The cores that this process may use, and how many pods each has."""

    def __init__(self) -> None:
        self._load: Counter[int] = Counter(dict.fromkeys(os.sched_getaffinity(0), 0))
        self._taken: dict[int, list[int]] = {}

    def reserve(self, pid: int, vcpu: int) -> list[int]:
        """Return the cores that have the fewest pods; all of them where that is not enough."""
        chosen = [cpu for cpu, _ in sorted(self._load.items(), key=lambda item: item[::-1])][:vcpu]
        self.note(pid, chosen)
        return chosen

    def note(self, pid: int, cores: Iterable[int]) -> None:
        """Note what a pod has, as one that an earlier platform started; nothing if it is known."""
        if pid not in self._taken:
            self._taken[pid] = [cpu for cpu in cores if cpu in self._load]
            self._load.update(self._taken[pid])

    def release(self, pid: int) -> None:
        """Take a pod's cores back."""
        self._load.subtract(self._taken.pop(pid, []))
