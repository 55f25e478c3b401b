"""Messages outside of any run: what front ends send to widgets, and all that comes of it.

Also what the threads of a cell still say when their cell is over. It goes into one log for the
session, whose events name the request that they answer; whoever shows widgets follows it.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clouditia_jupyter.platform.pod.comms import TOLD, with_extras
from clouditia_jupyter.platform.pod.log import EventLog
from clouditia_jupyter.platform.pod.message import Message
from clouditia_jupyter.platform.pod.run import OUTPUTS, coalesce

#: Bytes of the log that are kept at least: who follows it is less far behind.
_KEPT = 16 << 20
#: How many requests are remembered; a front end has few under way.
_REMEMBERED = 1000


class Outside:
    """The log of one session's messages outside of runs.

    Parameters
    ----------
    path
        The log's file.
    """

    def __init__(self, path: Path) -> None:
        self.log = EventLog(path, keep=_KEPT)
        self._listeners = 0
        self._requests: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count somebody who follows the log."""
        self._listeners += 1
        try:
            yield
        finally:
            self._listeners -= 1

    def register(self, msg_id: str) -> bool:
        """Note a request that goes to the kernel now; say whether it is the first of this id."""
        if msg_id in self._requests:
            return False
        self._requests[msg_id] = None
        if len(self._requests) > _REMEMBERED:
            self._requests.popitem(last=False)
        return True

    def owns(self, parent_id: str) -> bool:
        """Return whether a message with this parent belongs here."""
        return parent_id in self._requests

    def take(self, parent_id: str, messages: list[Message]) -> None:
        """Log what the kernel says of a request: first that it is ``busy``, at last ``idle``."""
        events: list[tuple[str, bytes]] = []
        for message in messages:
            if message.type in TOLD:
                events.append((message.type, with_extras(message)))
            elif message.type in OUTPUTS:
                events.append((message.type, message.content))
            elif message.type == "status":
                events.append(("idle" if b'"idle"' in message.content else "busy", b"{}"))
        self._append(parent_id, events)

    def take_late(self, run_id: str, outputs: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Log what came of a run that is over, and return what nobody here would see."""
        mine = [o for o in outputs if self._listeners or o[0] in TOLD]
        self._append(run_id, mine)
        return [o for o in outputs if o not in mine]

    def lose(self, kernel: str) -> None:
        """Note that a kernel's process is gone, and its widgets with it."""
        self._requests.clear()
        self._append("", [("lost", b'{},"kernel":' + json.dumps(kernel).encode())])

    def close(self) -> None:
        """End the log: whoever follows it has everything."""
        if not self.log.closed:
            self.log.close()

    def _append(self, parent_id: str, events: list[tuple[str, bytes]]) -> None:
        parent = b',"parent":' + json.dumps(parent_id).encode()
        if events and not self.log.closed:
            self.log.append([(kind, content + parent) for kind, content in coalesce(events)])
