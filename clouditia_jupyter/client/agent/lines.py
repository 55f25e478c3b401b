"""Requests to the agent, each over a persistent namespace that does nothing else by then.

A service may execute what is sent to one namespace one after the other: while one request waits
for output, an interrupt goes through another.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clouditia_jupyter.client.agent import namespaces
from clouditia_jupyter.client.agent.line import Answer, Line, SilentError, TruncatedError
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import (
    APIError,
    ClouditiaError,
    ConnectionFailedError,
    NotFoundError,
    SessionLostError,
    UnsupportedError,
)

#: More namespaces than this are not started for the requests of one client.
_MOST_LINES = 8
#: How long the other end works at a request that was left half way, in seconds, where the next one
#: for the same thing does not end it there at once.
_LEFT = 0.3
_UNAVAILABLE = 500


class Lines:
    """As many lines as this client's requests need at the same time.

    Parameters
    ----------
    platform
        The code-editor API.

    Attributes
    ----------
    broker
        Which agent this client knows: another one has none of its runs and variables. Empty
        before the first.
    """

    def __init__(self, platform: Transport) -> None:
        self.broker = ""
        self._platform = platform
        self._lock = threading.Lock()
        self._lines: list[Line] = []
        self._taken: set[Line] = set()
        self._home = ""

    def connect(self) -> None:
        """See that the agent is there and known."""
        if not self.broker:
            self.exchange({"op": "hello"})

    def exchange(
        self, head: dict[str, Any], body: bytes = b"", *, wait: float = 0.0, again: bool = True
    ) -> Answer:
        """Return the agent's answer.

        Parameters
        ----------
        head, body
            What to do; doing it twice must do it once, since the answer can be lost.
        wait
            Seconds that the agent may take on purpose.
        again
            Whether to ask again where no answer comes; whoever follows a run knows better.

        Raises
        ------
        SessionLostError
            If the agent is gone, and the session's variables with it; the next request finds a
            fresh one.
        UnsupportedError
            If the service has no persistent namespaces, or the agent cannot live in one.
        ConnectionFailedError
            If no answer came; asking again is safe.
        TruncatedError
            If the service did not pass on all of it.
        """
        silent = False
        while True:
            with self._borrowed() as line:
                try:
                    addressed = self._addressed(head)
                    return self._heard(line.exchange(addressed, body, wait=wait, again=again))
                except NotFoundError:
                    self._remove(line)  # stopped, perhaps by another who took it for forgotten
                except SilentError as error:
                    self._remove(line)
                    if silent:
                        raise _unanswered(error) from error
                    silent = True
                except APIError as error:
                    if _is_answer(error):
                        raise
                    raise _unanswered(error) from error

    def ask(self, head: dict[str, Any], wait: float, patience: float) -> Answer | None:
        """Return the agent's answer if a line is free and it comes in time; change nothing."""
        line = self._take_free()
        if line is None:
            return None  # making one takes longer than anybody waits
        with self._using(line):
            try:
                answer = line.exchange(
                    self._addressed(head), wait=wait, again=False, timeout=patience
                )
            except (NotFoundError, SilentError, TruncatedError):
                return None  # whoever runs a cell finds out why
        return answer if answer.head.get("broker") == self.broker else None

    def _addressed(self, head: dict[str, Any]) -> dict[str, Any]:
        # one that was started since would know nothing of this client's runs
        return {"broker": self.broker, **head}

    def _heard(self, answer: Answer) -> Answer:
        broker = answer.head.pop("broker", None)
        if not broker or not isinstance(broker, str):
            raise APIError("The agent in the session answers what no agent says; run again.")
        if broker != self.broker:
            before, self.broker = self.broker, broker
            self._home = str(answer.head.get("home") or "")
            if before:
                raise lost()
        return answer

    @contextmanager
    def _borrowed(self) -> Iterator[Line]:
        with self._using(self._take_free() or self._take_any() or self._open()) as line:
            yield line

    @contextmanager
    def _using(self, line: Line) -> Iterator[Line]:
        done = False
        try:
            yield line
            done = True
        finally:
            line.free_at = 0.0 if done else self._platform.clock.monotonic() + _LEFT
            with self._lock:
                self._taken.discard(line)

    def _take_free(self) -> Line | None:
        now = self._platform.clock.monotonic()
        with self._lock:
            free = [x for x in self._lines if x not in self._taken and x.free_at <= now]
            if not free:
                return None
            line = min(free, key=lambda line: line.free_at)
            self._taken.add(line)
            return line

    def _take_any(self) -> Line | None:
        """Return a line though something is under way there, if there are enough of them."""
        with self._lock:
            if len(self._lines) < _MOST_LINES:
                return None
            idle = [line for line in self._lines if line not in self._taken]
            line = min(idle or self._lines, key=lambda line: line.free_at)
            self._taken.add(line)
            return line

    def _open(self) -> Line:
        line = Line(self._platform, self._started())
        try:
            line.install()
            head = line.exchange({"op": "hello"}).head
        except NotFoundError as error:
            raise APIError(
                "The service ended a Python namespace that it had just started; run again."
            ) from error
        except (APIError, TruncatedError) as error:
            if not isinstance(error, (SilentError, TruncatedError)) and _is_answer(error):
                raise
            with self._lock:
                self._lines.append(line)  # it may have started the agent
            raise _unanswered(error) from error
        before, self.broker = self.broker, str(head.get("broker"))
        self._home = str(head.get("home") or "")
        with self._lock:
            self._lines.append(line)
            if not before or before == self.broker:
                self._taken.add(line)
        for forgotten in head.get("stale") or ():
            with contextlib.suppress(ClouditiaError):
                namespaces.stop(self._platform, str(forgotten))
        if before and before != self.broker:
            raise lost()
        return line

    def _started(self) -> str:
        try:
            return namespaces.start(self._platform)
        except UnsupportedError as error:
            if self.broker and isinstance(error.__cause__, NotFoundError):
                raise error.__cause__ from None  # it had them before: the session is not there
            raise

    def _remove(self, line: Line) -> None:
        with self._lock:
            if line in self._lines:
                self._lines.remove(line)

    def close(self) -> None:
        """End this client's namespaces but the one that keeps the agent; cells go on."""
        with self._lock:
            lines, self._lines = self._lines, []
        for line in lines:
            if self._home in ("", line.name):
                continue
            try:
                namespaces.stop(self._platform, line.name)
            except ConnectionFailedError:
                return  # the service is away, and would be for the others
            except ClouditiaError:
                pass  # it was stopped before


def lost() -> SessionLostError:
    """Return what is raised where the agent that this client knew is gone."""
    return SessionLostError(
        "The session's Python was ended, and its variables are gone; the next run starts afresh."
    )


def _is_answer(error: APIError) -> bool:
    """Return whether the service said no, rather than that it failed."""
    return error.status < _UNAVAILABLE


def _unanswered(error: Exception) -> ConnectionFailedError:
    failed = ConnectionFailedError(str(error) or "The service withholds what the agent says.")
    failed.may_have_acted = True
    return failed
