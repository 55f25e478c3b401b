"""Waiting for a run to its end, or until its time is up."""

from __future__ import annotations

import contextlib
import threading

from clouditia_jupyter.client.events import EventStream
from clouditia_jupyter.client.results import RunResult, fold, timed_out
from clouditia_jupyter.client.waiting import Clock
from clouditia_jupyter.errors import ClouditiaError

#: What a run gets to end by itself after its time is up and it was interrupted, in seconds.
_GRACE = 5.0


def fold_within(stream: EventStream, timeout: float | None, clock: Clock) -> RunResult:
    """Return what a run came to, and close its stream; after ``timeout`` seconds interrupt it.

    Raises
    ------
    WaitTimeoutError
        If it does not end even when it is interrupted.
    KeyboardInterrupt
        After passing it on to the remote code.
    """
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        stream.give_up_at(clock.monotonic() + _GRACE)
        # a failure means that it has just ended, or that the stream will report the same
        with contextlib.suppress(ClouditiaError):
            stream.interrupt()

    timer = threading.Timer(timeout or 0.0, expire)
    timer.daemon = True
    try:
        if timeout is not None:
            timer.start()
        result = fold(stream, stream.run_id)
    except KeyboardInterrupt:
        with contextlib.suppress(ClouditiaError):
            stream.interrupt()
        raise
    finally:
        timer.cancel()
        if timer.is_alive():  # a connection that it opens must not outlive the session's
            timer.join()
        stream.close()
    if expired.is_set() and not result.success:
        return timed_out(result, timeout or 0.0)
    return result
