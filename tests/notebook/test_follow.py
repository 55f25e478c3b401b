"""Limits of a cell, where the run ends in the very moment in which one is reached."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from clouditia_jupyter.models import Event
from clouditia_jupyter.notebook.follow import Ending, Limit, follow

if TYPE_CHECKING:
    from collections.abc import Iterator


class EndsAsItIsInterrupted:
    """Stands in for a run: no real one can be made to end in that moment."""

    def __init__(self, status: str, seconds: float) -> None:
        self._interrupted = threading.Event()
        self._done = {"status": status, "seconds": seconds}

    def __iter__(self) -> Iterator[Event]:
        assert self._interrupted.wait(20)
        yield Event(seq=1, type="done", content=self._done)

    def interrupt(self) -> None:
        self._interrupted.set()


class Nobody:
    """Shows nothing."""

    def showing(self, _stream: Any) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()


def end(status: str, seconds: float) -> Ending:
    stream: Any = EndsAsItIsInterrupted(status, seconds)
    nobody: Any = Nobody()
    return follow(stream, nobody, nobody, Limit(0.05, "ran longer than 0.05 s"))


def test_a_run_that_kept_its_limit_ended_well() -> None:
    assert end("ok", 0.04).well


@pytest.mark.parametrize(("status", "seconds"), [("ok", 0.06), ("error", 0.04)])
def test_a_run_that_was_interrupted_did_not(status: str, seconds: float) -> None:
    ending = end(status, seconds)
    assert not ending.well
    assert ending.past == "ran longer than 0.05 s"
