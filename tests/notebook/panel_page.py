"""A page that shows the panel: it gets what the kernel sends, and clicks as the browser does."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import comm
from comm.base_comm import BaseComm

if TYPE_CHECKING:
    import pytest

    from clouditia_jupyter.client.manager import GPUManager
    from clouditia_jupyter.notebook.panel.panel import Panel
    from tests.notebook.conftest import Shell

A, B = "nvidia-rtx-3060ti", "nvidia-rtx-3080ti"

_LONGEST_WAIT = 60.0

Message = dict[str, Any]


class Page:
    """Everything that was sent to the front end, and the panel's state as that makes it.

    Attributes
    ----------
    sent
        The data of each message, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[Message] = []
        self._changed = threading.Condition()
        self._panel_id = ""
        self._state: dict[str, str] = {}
        self._calls = 0
        page = self

        class RecordedComm(BaseComm):
            def publish_msg(self, msg_type: str, data: Any = None, *args: Any, **keys: Any) -> None:
                page._take(self.comm_id, json.loads(json.dumps(data or {})))

        monkeypatch.setattr(comm, "create_comm", RecordedComm)

    def _take(self, comm_id: str, data: Message) -> None:
        with self._changed:
            state = data.get("state") or {}
            if "_esm" in state:
                self._panel_id, self._state = comm_id, {}
            if comm_id == self._panel_id:
                self._state.update(state)
                self.sent.append(data)
                self._changed.notify_all()

    def __getitem__(self, part: str) -> Any:
        """Return what a part of the panel shows."""
        return json.loads(self._state[part])

    def until(self, part: str, holds: Callable[[Any], bool]) -> Any:
        """Return what a part shows once that ``holds``."""
        with self._changed:
            came = self._changed.wait_for(lambda: holds(self[part]), _LONGEST_WAIT)
            assert came, f"{part} is still {self[part]}"
            return self[part]

    def look(self, *, visible: bool = True) -> None:
        """Bring the panel before somebody's eyes, or take it away."""
        self.say({"do": "seen", "view": "the view", "visible": visible, "now": 0})

    def click(self, name: str, /, **data: Any) -> Message:
        """Click, and return what the click is answered."""
        call = self.begin(name, **data)
        with self._changed:
            assert self._changed.wait_for(lambda: self.answer(call) is not None, _LONGEST_WAIT)
        answer = self.answer(call)
        assert answer is not None
        return answer

    def begin(self, name: str, /, **data: Any) -> str:
        """Click, and wait for nothing."""
        self._calls += 1
        call = f"call {self._calls}"
        self.say({"do": name, "call": call, **data})
        return call

    def answer(self, call: str) -> Message | None:
        """Return the answer to a click, if it has come."""
        found = (m for m in self.customs() if m.get("call") == call)
        return next(found, None)

    def customs(self) -> Iterator[Message]:
        """Yield the messages that are no state."""
        for message in list(self.sent):
            if message.get("method") == "custom":
                yield message["content"]

    def say(self, content: Message) -> None:
        """Send the kernel a message of the widget."""
        data = {"method": "custom", "content": content}
        target: Any = comm.get_comm_manager().get_comm(self._panel_id)
        target.handle_msg({"content": {"comm_id": self._panel_id, "data": data}, "buffers": []})


def form(gpu: str, **more: Any) -> dict[str, Any]:
    """Return what the form sends."""
    return {
        "gpu": gpu,
        "count": 1,
        "vcpu": 1,
        "ram": 1,
        "storage": 1,
        "name": "",
        "cost_limit": None,
        "duration_limit": None,
        "queue": False,
        **more,
    }


def quiet_refreshes(page: Page, panel: Panel, most: int = 50) -> Iterator[int]:
    """Yield how many messages each refresh sent in which nothing had changed."""
    for _ in range(most):
        before, messages = panel._board.overview, len(page.sent)
        panel.refresh()
        if panel._board.overview is before:
            yield len(page.sent) - messages


class Opened:
    """A panel that somebody looks at, and all that belongs to it."""

    def __init__(self, shell: Shell, page: Page, manager: GPUManager) -> None:
        self.shell, self.page, self.manager = shell, page, manager
        self.panel: Panel = shell.run("%clouditia panel")
        page.look()
