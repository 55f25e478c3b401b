"""The events of a run, as one stream that survives dropped connections."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

import httpx

from clouditia_jupyter.client.route import Route
from clouditia_jupyter.client.transport import STREAM_READ_TIMEOUT, Transport, translate
from clouditia_jupyter.errors import (
    APIError,
    AuthenticationError,
    ClouditiaError,
    ConnectionFailedError,
    JobNotFoundError,
    ServiceUnavailableError,
    WaitTimeoutError,
)
from clouditia_jupyter.models import Event

if TYPE_CHECKING:
    from clouditia_jupyter.client.messages import Messages

#: Pauses before the tries to resume a broken stream, in seconds: 30 s in all, and all of them
#: again once anything has arrived.
RESUME_PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 14.0)
#: No event is longer, in bytes.
_LONGEST_LINE = 1 << 30


class LineBuffer:
    """Cuts a stream of bytes into lines, in time linear in its length."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def held(self) -> int:
        """How many bytes of a line are there whose end is not."""
        return sum(map(len, self._parts))

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that ``chunk`` completes, without their ends.

        Raises
        ------
        APIError
            If a line does not end in a gibibyte.
        """
        lines = chunk.split(b"\n")
        # a long line comes in many chunks: joined once, when its end is there
        self._parts.append(lines[0])
        if len(lines) == 1:
            self._size += len(chunk)
            if self._size > _LONGEST_LINE:
                raise APIError("The service sent an output without end; it is not taken further.")
            return []
        self._size = len(lines[-1])
        lines[0] = b"".join(self._parts)
        self._parts = [lines.pop()]
        return lines


def decode_event(line: bytes) -> Event:
    """Return the event that one line describes.

    Raises
    ------
    APIError
        If it describes none.
    """
    try:
        data = json.loads(line)
        seq, kind, content = data["seq"], data["type"], data["content"]
        if not (isinstance(seq, int) and isinstance(kind, str) and isinstance(content, dict)):
            raise TypeError("its parts are not what they should be")
        if len(data) == 3:
            return Event(seq=seq, type=kind, content=content)
        return Event(
            seq=seq,
            type=kind,
            content=content,
            metadata=data.get("metadata"),
            buffers=tuple(map(b64decode, data.get("buffers") or ())),
            parent=str(data.get("parent", "")),
            kernel=str(data.get("kernel", "")),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise APIError(
            f"The service sent a line that is no event ({error}); versions may not match."
        ) from error


class EventStream:
    """The events of one run, in order, each once, up to and including ``done``.

    Iterate over it. A dropped connection is resumed where it broke. An exception that comes out
    of the iteration, a KeyboardInterrupt too, leaves the stream usable: iterating again goes on
    behind the last event delivered. The run itself never depends on who listens.

    Attributes
    ----------
    run_id
        32 hexadecimal digits; ``LiveSession.attach`` takes it.
    """

    def __init__(
        self,
        route: Route,
        run_id: str,
        *,
        submission: Mapping[str, Any] | None = None,
        after: int = 0,
        path: str = "",
    ) -> None:
        self.run_id = run_id
        self._path = path or f"/api/runs/{run_id}/events/"
        self._route = route
        self._submission = submission  # still to be posted; posting it twice runs it once
        self._delivered = after
        self._pending: deque[Event] = deque()
        self._ended = False
        self._may_run = submission is None
        self._tries = 0
        self._lines = LineBuffer()
        self._response: httpx.Response | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._way: Transport = route.transport
        self._deadline: float | None = None

    def __repr__(self) -> str:
        state = "done" if self._ended and not self._pending else f"after={self._delivered}"
        return f"EventStream({self.run_id!r}, {state})"

    def __iter__(self) -> EventStream:
        return self

    def __next__(self) -> Event:
        while not self._pending:
            if self._ended:
                raise StopIteration
            self._fill()
        # Nothing is called from here to the return: a signal is handled at calls and loops, so
        # that an interrupt finds the event either still pending or delivered.
        event = self._pending[0]
        del self._pending[0]
        self._delivered = event.seq
        return event

    def __enter__(self) -> EventStream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> EventStream:
        """Connect now rather than at the first event; the code is then known to be submitted."""
        while self._response is None and not self._ended:
            self._attempt(self._connect)
        return self

    def interrupt(self) -> None:
        """Interrupt the run, as Ctrl-C does; its stream goes on to ``done``.

        Can be called from another thread while this one iterates.
        """
        self._route.call(
            "POST",
            f"/api/runs/{self.run_id}/interrupt/",
            json={},
            idempotent=True,
            missing=JobNotFoundError,
        )

    @property
    def messages(self) -> Messages:
        """What goes to and from the session's widgets."""
        # the other way round it needs this module
        from clouditia_jupyter.client.messages import Messages

        return Messages(self._route)

    def is_asking(self, request: int, wait: float = 0.0) -> bool:
        """Return whether the run still waits for an answer to its event number ``request``.

        Parameters
        ----------
        wait
            Seconds, 20 at most, within which to return as soon as it does not.
        """
        wanted = {"request": request, "wait": wait}
        path = f"/api/runs/{self.run_id}/input/"
        return bool(self._route.call("GET", path, params=wanted, idempotent=True).get("open"))

    def answer(self, request: int, value: str) -> None:
        """Say ``value`` to the run's ``input_request``; ``"\\x04"`` means the end of input.

        Parameters
        ----------
        request
            The event's number. Where the run waits for that no longer, nothing happens.
        """
        said = {"request": request, "value": value}
        path = f"/api/runs/{self.run_id}/input/"
        self._route.call("POST", path, json=said, idempotent=True)

    def give_up_at(self, moment: float) -> None:
        """Raise WaitTimeoutError from the iteration once the clock passes ``moment``.

        Noticed when something arrives, a heartbeat at the latest.
        """
        self._deadline = moment

    def close(self) -> None:
        """Stop listening; the run goes on."""
        self._hang_up()
        self._lines = LineBuffer()

    def _hang_up(self) -> None:
        response, self._response = self._response, None
        self._chunks = iter(())
        if response is not None:
            response.close()

    @property
    def _received(self) -> int:
        return self._pending[-1].seq if self._pending else self._delivered

    def _fill(self) -> None:
        if self._response is None:
            self._attempt(self._connect)
        else:
            self._attempt(self._read)

    def _connect(self) -> None:
        self._way = way = self._route.transport
        held = self._lines.held
        if self._submission is not None:
            request = way.request(
                "POST", "/api/runs/", json=self._submission, read_timeout=STREAM_READ_TIMEOUT
            )
        else:
            request = way.request(
                "GET",
                self._path,
                # behind the part of a line that is here: one that is longer than what any
                # connection carries arrives all the same
                params={"after": self._received, **({"offset": held} if held else {})},
                read_timeout=STREAM_READ_TIMEOUT,
            )
        response = way.stream(request)
        if held and response.headers.get("x-clouditia-offset") != str(held):
            self._lines = LineBuffer()  # it begins at the line's beginning
        self._response, self._chunks = response, response.iter_raw()
        self._submission, self._may_run = None, True

    def _read(self) -> None:
        try:
            chunk = next(self._chunks, None)
        except httpx.TransportError as error:
            raise translate(error, self._way.base_url)[0] from error
        if chunk is None:
            raise ConnectionFailedError("The stream ended before the run did.")
        self._tries = 0
        if self._deadline is not None and self._way.clock.monotonic() > self._deadline:
            raise WaitTimeoutError(
                f"Run {self.run_id} does not end. restart_kernel() ends it, and loses its "
                f"variables; attach({self.run_id!r}) goes on listening."
            )
        received = self._received
        for line in self._lines.feed(chunk):
            if not line or line.isspace():  # a heartbeat
                continue
            event = decode_event(line)
            if event.seq <= received:  # sent again
                continue
            received = event.seq
            self._pending.append(event)
            if event.type == "done":
                self._finish()
                return

    def _finish(self) -> None:
        """Mark the end, and read what is left of the body: then the connection can be kept."""
        self._ended = True
        try:
            for _ in self._chunks:
                pass
        except httpx.TransportError:
            pass
        self.close()

    def _attempt(self, step: Callable[[], None]) -> None:
        """Do ``step``; where the connection fails, make ready for the next attempt or give up."""
        try:
            step()
        except (ConnectionFailedError, ServiceUnavailableError, AuthenticationError) as error:
            self._hang_up()
            self._recover(error)
        except BaseException:
            # interrupted half way through an answer: that connection cannot be used further
            self.close()
            raise

    def _recover(self, error: ClouditiaError) -> None:
        self._may_run = self._may_run or getattr(error, "may_have_acted", False)
        another_way = self._route.detour(self._way, error)
        if isinstance(error, AuthenticationError) and not another_way:
            raise error
        # where nothing runs yet, waiting long for a service that is not there helps nobody
        pauses = RESUME_PAUSES if self._may_run else self._way.retries.refused
        if self._tries >= len(pauses):
            if not self._may_run:
                raise error
            raise ConnectionFailedError(
                f"The output of run {self.run_id} cannot be followed any more: {error} "
                "The run does not depend on that; once the service answers, "
                f"attach({self.run_id!r}, after={self._received}) shows the rest."
            ) from error
        if not another_way:
            self._way.clock.sleep(pauses[self._tries])
        self._tries += 1
