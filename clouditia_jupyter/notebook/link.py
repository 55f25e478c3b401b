"""The widgets of one session: what its kernel says goes to the front end, and back.

A message from the front end reaches a stub in the local comm manager, and through that the
session.
"""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from clouditia_jupyter.errors import (
    ClouditiaError,
    ConnectionFailedError,
    ServiceUnavailableError,
)
from clouditia_jupyter.notebook.states import CONTROL, WIDGET, States
from clouditia_jupyter.notebook.stubs import Gone, Opener, Stub, comm_manager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from clouditia_jupyter.client.messages import Messages, SessionStream
    from clouditia_jupyter.models import Event

logger = logging.getLogger(__name__)

#: Seconds for which the local kernel waits for a session to take up a message of the front end.
HOLD = 5.0
#: Seconds that a session has to say what all of its widgets are.
_PATIENCE = 3.0
_REMEMBERED = 1000
_STOP_SECONDS = 2.0
_TICK = 1.0


class Parents:
    """Which local request each remote one stands for: what comes of it shows there."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel
        self._known: OrderedDict[str, Any] = OrderedDict()
        self._shown: dict[str, threading.Event] = {}

    @contextmanager
    def showing(self, run_id: str) -> Iterator[None]:
        """Note that the cell that runs now stands for a run, and shows it meanwhile."""
        self.remember(run_id)
        self._shown[run_id] = shown = threading.Event()
        try:
            yield
        finally:
            del self._shown[run_id]
            shown.set()

    def wait_until_shown(self, remote_id: str) -> None:
        """Return when a request is no run whose cell still shows it."""
        shown = self._shown.get(remote_id)
        if shown is not None:
            shown.wait()

    def remember(self, remote_id: str, parent: Any = None) -> None:
        """Note a remote request; without a parent it stands for the cell that runs now."""
        self._known[remote_id] = parent or self._kernel.get_parent("shell")
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def of(self, remote_id: str) -> Any:
        """Return the local request; for an unknown one, the latest."""
        return self._known.get(remote_id) or self._kernel.get_parent("shell")

    def __contains__(self, remote_id: object) -> bool:
        return remote_id in self._known


class Link:
    """The widgets of one session, and the way to them."""

    def __init__(self, kernel: Any, messages: Messages, parents: Parents) -> None:
        self._messages = messages
        self._kernel = kernel
        self._parents = parents
        self._held: dict[str, _Held] = {}
        self._stubs: dict[str, Stub] = {}
        self._openers: dict[str, Opener] = {}
        self._gone: dict[str, Gone] = {}
        self._asked: dict[str, Callable[[Event | None], None]] = {}
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

    # What the session says

    def show(self, event: Event, remote_id: str) -> None:
        """Send the front end what the session says for a remote request."""
        content = event.content
        comm_id = content.get("comm_id")
        if event.type == "comm_target":
            self._offer(event)
            return
        if event.type == "comm_open":
            self._know(str(comm_id), str(content.get("target_name")), event.kernel)
        elif event.type == "comm_close":
            self._forget(str(comm_id))
        self._emit(
            event.type,
            self._translated(content),
            self._parents.of(remote_id),
            event.metadata,
            event.buffers,
        )

    def _emit(self, kind: str, content: Any, parent: Any, metadata: Any, buffers: Any) -> None:
        comm_id = content.get("comm_id")
        topic = self._kernel._topic(kind) if comm_id is None else f"comm-{comm_id}".encode()
        self._kernel.session.send(
            self._kernel.iopub_socket,
            kind,
            content,
            parent=parent,
            ident=topic,
            metadata=metadata,
            buffers=list(buffers),
        )

    def _translated(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the content with a local request for the remote one that an Output captures."""
        data = content.get("data")
        state = data.get("state") if isinstance(data, dict) else None
        captured = state.get("msg_id") if isinstance(state, dict) else None
        if not captured or captured not in self._parents:
            return content
        local = self._parents.of(captured)["header"]["msg_id"]
        return {**content, "data": {**data, "state": {**state, "msg_id": local}}}  # type: ignore[dict-item]

    def _know(self, comm_id: str, target: str, kernel: str) -> None:
        if kernel in self._gone:  # a run of a kernel that has ended is shown again
            return
        self._stubs[comm_id] = stub = Stub(self, comm_id, target, kernel)
        comm_manager().comms[comm_id] = stub

    def _offer(self, event: Event) -> None:
        """Let the front end open comms with a target of the session's, or no longer."""
        name = str(event.content["target_name"])
        if name == CONTROL or event.kernel in self._gone:
            return
        earlier = self._openers.pop(name, None)
        if earlier is not None:
            earlier.withdraw()
        if event.content.get("registered"):
            self._openers[name] = Opener(self, name, event.kernel)

    # What the front end says

    def opened(self, message: Mapping[str, Any], target: str, kernel: str) -> None:
        """Take that the front end opens a comm with a target of the session's."""
        comm_id = str(message["content"]["comm_id"])
        self._know(comm_id, target, kernel)
        reached = self.send("comm_open", message)
        if not reached or comm_id not in self._stubs:  # its kernel has just ended
            self._forget(comm_id)
            self._emit("comm_close", {"comm_id": comm_id, "data": {}}, message, {}, ())

    def closed(self, comm_id: str, message: Mapping[str, Any]) -> None:
        """Take that the front end is done with a comm."""
        self._stubs.pop(comm_id, None)
        self.send("comm_close", message)

    def send(self, kind: str, message: Mapping[str, Any]) -> bool:
        """Pass on what the front end says, and wait until the session is through with it.

        Returns whether the session was reached. Once a message is answered, the front end drops
        what Output widgets would still get for it.
        """
        header = message["header"]
        msg_id = header["msg_id"]
        self._parents.remember(msg_id, message)
        self._held[msg_id] = held = _Held()
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
            held.wait()
        except (ClouditiaError, RuntimeError) as error:  # the latter of a way that was closed
            sys.stderr.write(f"The session of this widget was not reached: {error}\n")
            return False
        finally:
            self._held.pop(msg_id, None)
        return True

    # All of its widgets

    def states(self, seconds: float = _PATIENCE) -> States | None:
        """Return the session's widgets as they are now; None where it does not say in time."""
        answers: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        comm_id = uuid4().hex
        self._asked[comm_id] = answers.put
        self.listen()
        try:
            self._post(
                comm_id, "comm_open", {"target_name": CONTROL, "data": {}}, {"version": "1.0.0"}
            )
            self._post(comm_id, "comm_msg", {"data": {"method": "request_states"}})
            event = answers.get(timeout=seconds)
            self._post(comm_id, "comm_close", {"data": {}})
        except (ClouditiaError, RuntimeError, queue.Empty) as error:
            logger.info("a session did not say what its widgets are: %r", error)
            return None
        finally:
            del self._asked[comm_id]
        return None if event is None else States.of(event)

    def _post(
        self, comm_id: str, kind: str, content: Any, metadata: Mapping[str, Any] | None = None
    ) -> None:
        # beside what it is at: it may be busy for long
        content = {"comm_id": comm_id, **content}
        self._messages.send(uuid4().hex, kind, content, metadata=metadata, subshell=True)

    def adopt(self, model_id: str) -> None:
        """Tell the front end of widgets that the session made for an earlier notebook."""
        if model_id in self._stubs or (found := self.states()) is None:
            return
        if model_id in found:
            for content, buffers in found.openings(besides=self._stubs):
                self._know(str(content["comm_id"]), WIDGET, found.kernel)
                parent = self._kernel.get_parent("shell")
                self._emit("comm_open", content, parent, found.metadata, buffers)

    def refresh(self) -> None:
        """Bring the front end's widgets up to what they are in the session now."""
        if not self._stubs or (found := self.states()) is None:
            return
        parent = self._kernel.get_parent("shell")
        for comm_id, stub in list(self._stubs.items()):
            if stub.target_name != WIDGET:
                continue
            if comm_id in found:
                content, buffers = found.update(comm_id)
                self._emit("comm_msg", content, parent, {}, buffers)
            else:
                self._forget(comm_id)
                self._emit("comm_close", {"comm_id": comm_id, "data": {}}, parent, {}, ())

    # Outside of runs

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
                # what a thread says behind its cell comes by another way, and may be quicker
                self._parents.wait_until_shown(event.parent)
                self._seen = event.seq
                self._take(event, is_history=event.seq <= (stream.history or 0))
        except (ConnectionFailedError, ServiceUnavailableError) as error:
            logger.info("the widgets of a session are not followed for now: %s", error)
        except ClouditiaError as error:
            logger.info("the widgets of a session are not followed any more: %s", error)
            if stream is self._stream:
                for kernel in {stub.kernel for stub in list(self._stubs.values())}:
                    self._bury(kernel)
        except RuntimeError as error:  # its connections have been closed: another way is taken
            logger.info("the way to the widgets of a session was closed: %s", error)
        finally:
            if stream is self._stream:
                self._release()

    def _take(self, event: Event, *, is_history: bool) -> None:
        if event.type in ("busy", "idle"):
            held = self._held.get(event.parent)
            if held is not None:
                held.note(event.type)
        elif event.type == "lost":
            self._bury(event.kernel)
            self._release()
        elif event.type in ("comm_open", "comm_target"):
            self.show(event, event.parent)
        elif "comm_id" in event.content:
            comm_id = str(event.content["comm_id"])
            if (taken := self._asked.get(comm_id)) is not None:
                taken(event if event.type == "comm_msg" else None)
            elif comm_id in self._stubs:  # else of a notebook that is no more
                self.show(event, event.parent)
        elif event.parent in self._parents or not (is_history or "-" in event.parent):
            # what a run of an earlier notebook still says has no other place; what comes of the
            # messages of another front end, whose ids have dashes, shows there
            self.show(event, event.parent)

    def _release(self) -> None:
        for held in list(self._held.values()):
            held.note("idle")

    def _forget(self, comm_id: str) -> None:
        stub = self._stubs.pop(comm_id, None)
        comms = comm_manager().comms
        if stub is not None and comms.get(comm_id) is stub:
            del comms[comm_id]

    def _bury(self, kernel: str) -> None:
        """Note that a kernel is gone: its widgets stay on the page, and do nothing."""
        gone = self._gone.setdefault(kernel, Gone())
        for comm_id, stub in list(self._stubs.items()):
            if stub.kernel == kernel:
                self._forget(comm_id)
                comm_manager().comms[comm_id] = gone
        for name, opener in list(self._openers.items()):
            if opener.kernel == kernel:
                self._openers.pop(name).withdraw()

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
        for comm_id in list(self._stubs):
            self._forget(comm_id)
        comms = comm_manager().comms
        for comm_id in [key for key, kept in comms.items() if kept in self._gone.values()]:
            del comms[comm_id]
        for opener in self._openers.values():
            opener.withdraw()
        self._openers.clear()
        self._release()


class _Held:
    """A message of the front end that the session has not answered yet."""

    def __init__(self) -> None:
        self._begun = False
        self._through = threading.Event()

    def note(self, state: str) -> None:
        """Note that the session is ``busy`` with it, or ``idle`` behind it."""
        self._begun = True
        if state == "idle":
            self._through.set()

    def wait(self) -> None:
        """Return when it is answered.

        In the main shell at the latest after :data:`HOLD` where the session has not even begun: it
        may be at something that takes days, and cells here have to run.
        """
        in_main = threading.current_thread() is threading.main_thread()
        until = time.monotonic() + HOLD
        while not self._through.wait(_TICK):
            if in_main and not self._begun and time.monotonic() > until:
                return
            if not threading.main_thread().is_alive():  # the kernel ends
                return
