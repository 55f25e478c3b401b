"""One persistent namespace that has the agent's relay: carries one request at a time."""

from __future__ import annotations

import base64
import re
import uuid
import zlib
from typing import Any, NamedTuple

from clouditia_jupyter.client.agent import namespaces
from clouditia_jupyter.client.agent.bundle import bundle
from clouditia_jupyter.client.agent.remote.wire import FOLDER, pack, unpack
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import APIError

#: What an exchange may take beyond what the request asks the agent to wait, in seconds.
MARGIN = 30.0
#: No answer is longer than this when it is unpacked: it holds a piece of a value or of a log.
_LARGEST = 1 << 24
_RELAY = "clouditia_agent.relay"
_INSTALL = """\
def _install(name, data):
    import base64, os, sys
    folder = os.path.abspath({folder!r})
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        if not data:
            raise FileNotFoundError(name)
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
_install({name!r}, {data!r})
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
    """One persistent namespace.

    Attributes
    ----------
    free_at
        When the last request will have ended at the other end, where it was left half way.
    """

    def __init__(self, platform: Transport, name: str) -> None:
        self.name = name
        self.free_at = 0.0
        self._platform = platform

    def install(self) -> None:
        """See that the agent is there: sent only to a session that has not got it yet."""
        packed = bundle()
        answer: dict[str, Any] = {}
        for data in ("", base64.b64encode(packed.data).decode()):
            code = _INSTALL.format(folder=FOLDER, name=packed.name, data=data)
            answer = self._execute(code, MARGIN, MARGIN, again=True)
            if answer.get("success", True) and not answer.get("error"):
                return
        raise APIError(
            "The agent that cells need on this service cannot be installed in the session: "
            f"{_last_line(answer.get('error'))}. shell(command) works without it."
        )

    def exchange(
        self,
        head: dict[str, Any],
        body: bytes = b"",
        *,
        wait: float = 0.0,
        again: bool = True,
        timeout: float | None = None,
    ) -> Answer:
        """Return the agent's answer to one request, sent in the code of one execution.

        Parameters
        ----------
        wait
            Seconds that the agent may take on purpose.
        again
            Whether to send it again where no answer comes.
        timeout
            Seconds after which nobody wants the answer any more.
        """
        marker = uuid.uuid4().hex
        request = base64.b64encode(pack({**head, "relay": self.name}, body)).decode()
        code = f"__import__('sys').modules[{_RELAY!r}].exchange({marker!r}, {request!r})"
        limit = wait + MARGIN
        answer = self._execute(code, limit, timeout or limit, again=again)
        output = str(answer.get("output") or "")
        found = re.search(f"{marker}:([A-Za-z0-9+/=\\s]*):{marker}", output)
        if found is None:
            if marker in output:
                raise TruncatedError
            reason = _last_line(answer.get("error")) or "it printed something else"
            raise SilentError(f"The agent in the session did not answer ({reason}); run again.")
        return _decoded(found[1])

    def _execute(self, code: str, limit: float, timeout: float, *, again: bool) -> dict[str, Any]:
        return namespaces.execute(self._platform, self.name, code, limit, timeout, again=again)


def _decoded(text: str) -> Answer:
    try:
        data = base64.b64decode("".join(text.split()))
        message = data[1:]
        if data[:1] == b"z":
            unpacking = zlib.decompressobj()
            message = unpacking.decompress(message, _LARGEST)
            if not unpacking.eof:
                raise TruncatedError
        head, body = unpack(message)
    except (ValueError, RecursionError, zlib.error) as error:
        raise TruncatedError from error
    if not isinstance(head, dict) or not isinstance(head.get("status"), int):
        raise APIError("The agent in the session answers what no agent says; versions may differ.")
    if "trouble" in head:
        raise APIError(
            f"The agent in the session failed ({_last_line(head['trouble'])}); run again."
        )
    return Answer(head, body)


def _last_line(text: Any) -> str:
    lines = str(text or "").strip().splitlines()
    return lines[-1][:300] if lines else ""
