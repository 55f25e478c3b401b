"""Limits and interrupts that come in the very moment in which a run begins or ends."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from clouditia_jupyter.models import Event
from clouditia_jupyter.notebook.follow import Ending, Limit, follow
from clouditia_jupyter.notebook.parcel import Parcel
from clouditia_jupyter.notebook.runner import send

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


class Interrupted:
    """Stands in for a run that the user interrupts while it is submitted; and for its session."""

    run_id = "run-12345678"

    def __init__(self, *, arrived: bool) -> None:
        self.calls: list[str] = []
        self._arrived = arrived

    def start(self, *_args: Any, **_options: Any) -> None:
        raise KeyboardInterrupt

    def runs(self) -> list[dict[str, str]]:
        return [{"run_id": self.run_id}] if self._arrived else []

    def attach(self, _run_id: str) -> Interrupted:
        return self

    def interrupt(self) -> None:
        self.calls.append("interrupt")

    def __iter__(self) -> Iterator[Event]:
        self.calls.append("read")
        yield Event(seq=1, type="done", content={"status": "error"})


def test_an_interrupt_while_a_run_is_submitted_is_passed_on_to_it() -> None:
    live: Any = Interrupted(arrived=True)
    nobody: Any = Nobody()
    stream, interrupted = send(live, "code", live.run_id, Parcel(), {})
    ending = follow(stream, nobody, live, interrupted=interrupted)
    assert live.calls == ["interrupt", "read"]
    assert ending.interrupted


def test_an_interrupt_before_a_run_is_there_ends_the_cell_alone() -> None:
    live: Any = Interrupted(arrived=False)
    with pytest.raises(KeyboardInterrupt) as caught:
        send(live, "code", live.run_id, Parcel(), {})
    assert live.calls == []
    # nothing of ours in what is shown
    assert caught.value._render_traceback_() == ["KeyboardInterrupt"]
