"""Widgets made in a session are alive here: comm messages both ways, under the same ids.

The front end knows a remote widget by the messages that made it, which go on to it as they are;
what it says then reaches a stub in the local comm manager, and through that the session.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from clouditia_jupyter.errors import ClouditiaError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from IPython.core.interactiveshell import InteractiveShell

    from clouditia_jupyter.client.events import EventStream
    from clouditia_jupyter.client.messages import Messages, SessionStream
    from clouditia_jupyter.models import Event

logger = logging.getLogger(__name__)

#: Seconds for which a message from the front end is held open until the session is through with
#: it: once it is answered, the front end drops what Output widgets would still get for it.
HOLD = 5.0
_REMEMBERED = 1000
_STOP_SECONDS = 2.0
_CONTROL = "jupyter.widget.control"

_made: WeakKeyDictionary[InteractiveShell, Widgets] = WeakKeyDictionary()


def widgets_of(shell: InteractiveShell) -> Widgets:
    """Return the relay for a shell; in a terminal, one that shows nothing."""
    if shell not in _made:
        _made[shell] = Widgets(getattr(shell, "kernel", None))
    return _made[shell]


def withdraw(shell: InteractiveShell) -> None:
    """Undo all that was done for the widgets of a shell; those that are shown go dead."""
    widgets = _made.pop(shell, None)
    if widgets is not None:
        widgets.close()


class Widgets:
    """The remote widgets of one notebook.

    Parameters
    ----------
    kernel
        The local kernel; None where there is no front end to show widgets.
    """

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._links: dict[str, Link] = {}
        self._control: Any = None

    def relay(self, event: Event, stream: EventStream) -> None:
        """Pass on a widget's message that came among the events of a run."""
        if self._kernel is None:
            return
        messages = stream.messages
        link = self._links.get(messages.session_id)
        if link is None:
            if not messages.supported:
                return
            link = self._links[messages.session_id] = Link(self._kernel, messages)
        link.use(messages)
        if event.content.get("target_name") == "jupyter.widget":
            self._free_control()
        # what was printed before it belongs before it: an Output widget begins here, or ends
        sys.stdout.flush()
        sys.stderr.flush()
        link.remember(stream.run_id, self._kernel.get_parent("shell"))
        link.show(event, stream.run_id)
        link.listen()

    def close(self) -> None:
        """Let go of every session."""
        for link in self._links.values():
            link.close()
        self._links.clear()
        if self._control is not None:
            _comm_manager().targets.setdefault(_CONTROL, self._control)

    def _free_control(self) -> None:
        """Make a page that is loaded again ask for each widget by itself.

        The one answer of the local ``ipywidgets`` for all of them knows only those made here.
        """
        if self._control is None:
            try:
                import ipywidgets  # noqa: F401 - it registers the target; not later, then
            except ImportError:
                return
            self._control = _comm_manager().targets.pop(_CONTROL, None)


class Link:
    """The widgets of one session, and the way to them."""

    def __init__(self, kernel: Any, messages: Messages) -> None:
        self._messages = messages
        self._kernel = kernel
        self._parents: OrderedDict[str, Any] = OrderedDict()
        self._held: dict[str, threading.Event] = {}
        self._stubs: dict[str, Stub] = {}
        self._seen = 0
        self._stream: SessionStream | None = None
        self._pump: threading.Thread | None = None
        self._lock = threading.Lock()

    def use(self, messages: Messages) -> None:
        """Take this way from now on: an earlier one may have been closed."""
        if messages != self._messages:
            self._messages = messages
            with self._lock:
                self._stop()

    def remember(self, remote_id: str, parent: Any) -> None:
        """Note which local request a remote one stands for: what comes of it shows there."""
        self._parents[remote_id] = parent
        if len(self._parents) > _REMEMBERED:
            self._parents.popitem(last=False)

    def show(self, event: Event, remote_id: str) -> None:
        """Send the front end what the session says for a remote request."""
        content = event.content
        comm_id = content.get("comm_id")
        if event.type == "comm_open":
            target = str(content.get("target_name"))
            self._stubs[str(comm_id)] = stub = Stub(self, str(comm_id), target, event.kernel)
            _comm_manager().comms[comm_id] = stub
        elif event.type == "comm_close":
            self._forget(str(comm_id))
        elif event.type == "comm_msg" and comm_id not in self._stubs:
            return  # of a notebook that is no more
        topic = self._kernel._topic(event.type) if comm_id is None else f"comm-{comm_id}".encode()
        self._kernel.session.send(
            self._kernel.iopub_socket,
            event.type,
            self._translated(content),
            parent=self._parents.get(remote_id) or self._kernel.get_parent("shell"),
            ident=topic,
            metadata=event.metadata,
            buffers=list(event.buffers),
        )

    def _translated(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the content with a local request for the remote one that an Output captures."""
        data = content.get("data")
        state = data.get("state") if isinstance(data, dict) else None
        captured = state.get("msg_id") if isinstance(state, dict) else None
        if not captured or captured not in self._parents:
            return content
        local = self._parents[captured]["header"]["msg_id"]
        return {**content, "data": {**data, "state": {**state, "msg_id": local}}}  # type: ignore[dict-item]

    def send(self, kind: str, message: Mapping[str, Any]) -> None:
        """Pass on what the front end says, and wait until the session is through with it."""
        header = message["header"]
        msg_id = header["msg_id"]
        self.remember(msg_id, message)
        self._held[msg_id] = through = threading.Event()
        self.listen()
        try:
            self._messages.send(
                msg_id,
                kind,
                message["content"],
                metadata=message.get("metadata"),
                buffers=message.get("buffers") or (),
                subshell=bool(header.get("subshell_id")),
            )
            through.wait(HOLD)
        except ClouditiaError as error:  # a slider has no place to show it; the next cell will
            logger.info("a widget's message did not reach its session: %s", error)
        finally:
            self._held.pop(msg_id, None)

    def listen(self) -> None:
        """Follow what happens outside of runs, on a thread of its own."""
        with self._lock:
            if self._pump is None or not self._pump.is_alive():
                self._stream = self._messages.follow(self._seen)
                self._pump = threading.Thread(
                    target=self._follow, args=(self._stream,), name="clouditia-widgets", daemon=True
                )
                self._pump.start()

    def _follow(self, stream: SessionStream) -> None:
        try:
            for event in stream:
                if stream is not self._stream:
                    return
                self._seen = event.seq
                self._take(event, is_history=event.seq <= (stream.history or 0))
        except ClouditiaError as error:
            logger.info("the widgets of a session are not followed any more: %s", error)
        finally:
            if stream is self._stream:
                self._release()

    def _take(self, event: Event, *, is_history: bool) -> None:
        if event.type == "idle":
            held = self._held.get(event.parent)
            if held is not None:
                held.set()
        elif event.type == "lost":
            self._forget_all(of=event.kernel)
            self._release()
        elif "comm_id" in event.content or not is_history or event.parent in self._parents:
            self.show(event, event.parent)

    def _release(self) -> None:
        for held in list(self._held.values()):
            held.set()

    def _forget(self, comm_id: str) -> None:
        stub = self._stubs.pop(comm_id, None)
        comms = _comm_manager().comms
        if stub is not None and comms.get(comm_id) is stub:
            del comms[comm_id]

    def _forget_all(self, of: str | None = None) -> None:
        for comm_id, stub in list(self._stubs.items()):
            if of in (None, stub.kernel):
                self._forget(comm_id)

    def _stop(self) -> threading.Thread | None:
        if self._stream is not None:
            self._stream.stop()
        pump, self._pump, self._stream = self._pump, None, None
        return pump

    def close(self) -> None:
        """Take the widgets out of the local comm manager, and end the thread."""
        with self._lock:
            pump = self._stop()
        if pump is not None:
            pump.join(_STOP_SECONDS)
        self._forget_all()
        self._release()


class Stub:
    """A remote widget's entry in the local comm manager."""

    primary = True

    def __init__(self, link: Link, comm_id: str, target_name: str, kernel: str) -> None:
        self._link = link
        self.kernel = kernel
        self.comm_id = comm_id
        self.target_name = target_name

    def handle_msg(self, message: Mapping[str, Any]) -> None:
        """Take what the front end says."""
        self._link.send("comm_msg", message)

    def handle_close(self, message: Mapping[str, Any]) -> None:
        """Take that the front end is done with it."""
        self._link.send("comm_close", message)


def _comm_manager() -> Any:
    import comm

    return comm.get_comm_manager()
