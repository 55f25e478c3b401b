"""Requests to the agent, and the persistent namespaces that carry them there.

A service may execute what is sent to one namespace one after the other, so each request takes a
namespace that does nothing else: while one waits for output, an interrupt goes through another.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import threading
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from clouditia_jupyter.client.agent.bundle import bundle
from clouditia_jupyter.client.agent.remote.wire import FOLDER, pack, unpack
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import (
    APIError,
    ClouditiaError,
    NotFoundError,
    SessionLostError,
    UnsupportedError,
)

#: What an exchange may take beyond what the request asks the agent to wait, in seconds.
_MARGIN = 30.0
#: More namespaces than this are not started for the requests of one client.
_MOST_LINES = 8
_RELAY = "clouditia_agent.relay"
_INSTALL = """\
def _install(data, name):
    import base64, os, sys
    folder = os.path.abspath({folder!r})
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        draft = path + "." + str(os.getpid())
        with open(draft, "wb") as file:
            file.write(base64.b64decode(data))
        os.replace(draft, path)
    sys.path.insert(0, path)
    try:
        import clouditia_agent.relay as relay
    finally:
        sys.path.remove(path)
    relay.install(path)
_install({data!r}, {name!r})
"""


class Answer(NamedTuple):
    """What the agent said: named facts, and bytes."""

    head: dict[str, Any]
    body: bytes


class TruncatedError(Exception):
    """An answer did not come whole; the service cuts output that long."""


class SilentError(APIError):
    """The code was executed, and the agent's answer is not in its output."""


class Line:
    """One persistent namespace that has the agent's relay."""

    def __init__(self, platform: Transport, name: str) -> None:
        self.name = name
        self.free_at = 0.0
        self._platform = platform

    def install(self) -> None:
        """Send the agent there."""
        packed = bundle()
        data = base64.b64encode(packed.data).decode()
        code = _INSTALL.format(folder=FOLDER, data=data, name=packed.name)
        answer = self._execute(code, _MARGIN, _MARGIN, again=True)
        if not answer.get("success", True):
            raise APIError(
                "The agent that cells need on this service cannot be installed in the session: "
                f"{_last_line(answer.get('error'))}. shell(command) works without it."
            )

    def exchange(
        self, head: dict[str, Any], body: bytes, wait: float, timeout: float | None
    ) -> Answer:
        """Return the agent's answer to one request, sent in the code of one execution."""
        marker = uuid.uuid4().hex
        request = base64.b64encode(pack({**head, "relay": self.name}, body)).decode()
        code = f"__import__('sys').modules[{_RELAY!r}].exchange({marker!r}, {request!r})"
        limit = wait + _MARGIN
        # whoever follows a run or types knows better what to do without an answer
        again = not wait and timeout is None
        answer = self._execute(code, limit, limit if timeout is None else timeout, again=again)
        output = str(answer.get("output") or "")
        found = re.search(f"{marker}:([A-Za-z0-9+/=\\s]*):{marker}", output)
        if found is None:
            if marker in output:
                raise TruncatedError
            reason = _last_line(answer.get("error")) or "it printed something else"
            raise SilentError(f"The agent in the session did not answer ({reason}); run again.")
        return _decoded(found[1])

    def _execute(self, code: str, limit: float, timeout: float, *, again: bool) -> dict[str, Any]:
        return self._platform.call(
            "POST",
            "/api/session/exec/",
            json={"persistent_id": self.name, "code": code, "timeout": limit},
            timeout=timeout,
            idempotent=again,
            failure_is_answer=True,
        )

    def stop(self) -> None:
        """End the namespace."""
        with contextlib.suppress(ClouditiaError):
            stop_namespace(self._platform, self.name)


class Lines:
    """As many lines as this client's requests need at the same time.

    Parameters
    ----------
    platform
        The code-editor API.
    """

    def __init__(self, platform: Transport) -> None:
        self._platform = platform
        self._lock = threading.Lock()
        self._lines: list[Line] = []
        self._taken: set[Line] = set()
        self._home = ""
        self._broker = ""

    @property
    def connected(self) -> bool:
        """Whether the agent has answered this client before."""
        return bool(self._broker)

    def exchange(
        self,
        head: dict[str, Any],
        body: bytes = b"",
        *,
        wait: float = 0.0,
        timeout: float | None = None,
    ) -> Answer:
        """Return the agent's answer.

        Parameters
        ----------
        head, body
            What to do; doing it twice must do it once, since the answer can be lost.
        wait
            Seconds that the agent may take on purpose.
        timeout
            Seconds after which nobody wants the answer any more.

        Raises
        ------
        SessionLostError
            If the agent is gone, and the session's variables with it; the next request finds a
            fresh one.
        UnsupportedError
            If the service has no persistent namespaces, or the agent cannot live in one.
        """
        with self._borrowed(wait) as line:
            try:
                answer = line.exchange(self._to_broker(head), body, wait, timeout)
            except (NotFoundError, SilentError):
                self._remove(line)  # stopped, perhaps by another client that took it for forgotten
            else:
                return self._from_broker(answer)
        with self._borrowed(wait) as line:
            return self._from_broker(line.exchange(self._to_broker(head), body, wait, timeout))

    def _to_broker(self, head: dict[str, Any]) -> dict[str, Any]:
        # one that was started since would know nothing of this client's runs
        return {**head, "broker": self._broker}

    def _from_broker(self, answer: Answer) -> Answer:
        broker = str(answer.head.pop("broker", ""))
        if broker != self._broker:
            self._broker, self._home = broker, str(answer.head.get("home"))
            raise _lost()
        return answer

    @contextmanager
    def _borrowed(self, wait: float) -> Iterator[Line]:
        line = self._take()
        # an exchange that is left half way goes on at the other end
        line.free_at = self._platform.clock.monotonic() + wait + 1.0
        try:
            yield line
            line.free_at = 0.0
        finally:
            with self._lock:
                self._taken.discard(line)

    def _take(self) -> Line:
        now = self._platform.clock.monotonic()
        with self._lock:
            idle = [line for line in self._lines if line not in self._taken]
            free = [line for line in idle if line.free_at <= now]
            if not free and len(self._lines) >= _MOST_LINES:
                free = sorted(idle or self._lines, key=lambda line: line.free_at)
            if free:
                self._taken.add(free[0])
                return free[0]
        line = self._open()
        with self._lock:
            self._lines.append(line)
            self._taken.add(line)
        return line

    def _open(self) -> Line:
        line = Line(self._platform, start_namespace(self._platform))
        try:
            line.install()
            head = line.exchange({"op": "hello"}, b"", 0.0, None).head
        except NotFoundError as error:
            raise APIError(
                "The service ended a Python namespace that it had just started; run again."
            ) from error
        before, self._broker = self._broker, str(head.get("broker"))
        self._home = str(head.get("home"))
        for forgotten in head.get("stale") or ():
            with contextlib.suppress(ClouditiaError):
                stop_namespace(self._platform, forgotten)
        if before and before != self._broker:
            with self._lock:
                self._lines.append(line)
            raise _lost()
        return line

    def _remove(self, line: Line) -> None:
        with self._lock:
            if line in self._lines:
                self._lines.remove(line)

    def close(self) -> None:
        """End this client's namespaces but the one that keeps the agent; cells go on."""
        with self._lock:
            lines, self._lines = self._lines, []
        for line in lines:
            if line.name != self._home:
                line.stop()


def start_namespace(platform: Transport) -> str:
    """Return the id of a new persistent namespace.

    Raises
    ------
    UnsupportedError
        If the service has none.
    """
    try:
        # starting twice leaves an empty namespace behind, which costs little
        answer = platform.call("POST", "/api/session/start/", json={}, idempotent=True)
    except NotFoundError as error:
        raise UnsupportedError(
            "This service keeps no Python between two requests, so a cell there cannot be "
            "followed; run(code) runs each piece of code by itself."
        ) from error
    name = str(answer.get("persistent_id") or "")
    if not name:
        raise APIError("The service started no Python namespace; try again in a minute.")
    return name


def stop_namespace(platform: Transport, name: str) -> None:
    """End a persistent namespace."""
    body = {"persistent_id": name}
    platform.call("POST", "/api/session/stop/", json=body, idempotent=True)


def _lost() -> SessionLostError:
    return SessionLostError(
        "The session's Python was ended, and its variables are gone; the next run starts afresh."
    )


def _decoded(text: str) -> Answer:
    try:
        data = base64.b64decode("".join(text.split()))
        message = zlib.decompress(data[1:]) if data[:1] == b"z" else data[1:]
    except (binascii.Error, zlib.error) as error:
        raise TruncatedError from error
    head, body = unpack(message)
    if "trouble" in head:
        raise APIError(
            f"The agent in the session failed ({_last_line(head['trouble'])}); run again."
        )
    return Answer(head, body)


def _last_line(text: Any) -> str:
    lines = str(text or "").strip().splitlines()
    return lines[-1][:300] if lines else ""
