"""The broker process: keeps a session's runs and its kernel, and answers the relays.

Every request may be sent twice, since its answer can be lost: runs, restarts, transfers and tasks
have ids that their sender chose. A request waits as long as it says, and no longer.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

from clouditia_jupyter.client.agent.remote.run import Run
from clouditia_jupyter.client.agent.remote.schedule import Queue, RefusedError
from clouditia_jupyter.client.agent.remote.transfers import Transfers
from clouditia_jupyter.client.agent.remote.use import Gauge
from clouditia_jupyter.client.agent.remote.wire import Rendezvous, pack, unpack

#: Relays that nobody used for so many seconds may be stopped.
_STALE = 600.0
#: Where the namespace that started it is gone, a broker that nobody asks ends after this.
_ORPHANED = 900.0
_LOOK = 1.0
#: Of so many listeners it is known which of their requests was the last.
_LISTENERS = 1000
#: How many runs a glance shows.
_RECENT_RUNS = 20

Answer = tuple[dict[str, Any], bytes]


class Broker:
    """What answers requests; each operation is a method that its name finds."""

    def __init__(self, bundle: Path) -> None:
        self.id = secrets.token_hex(8)
        self._queue = Queue(bundle)
        self._transfers = Transfers()
        self._gauge = Gauge()
        self._relays: dict[str, float] = {}
        self._numbers = itertools.count()
        self._last: OrderedDict[str, int] = OrderedDict()
        self._home = ""
        self._parent = os.getppid()
        self._last_asked = time.monotonic()

    def answer(self, message: bytes) -> bytes:
        """Return the answer to one request."""
        self._last_asked = time.monotonic()
        head, body = unpack(message)
        operation = getattr(self, f"do_{head.pop('op', '')}", None)
        relay = str(head.pop("relay", ""))
        self._home = self._home or relay
        self._relays[relay] = time.monotonic()
        expected = head.pop("broker", "")
        if expected and expected != self.id:
            return pack({"status": 410, "broker": self.id, "home": self._home})
        if operation is None:
            error = "The agent in the session is of another version."
            return pack({"status": 501, "broker": self.id, "error": error})
        try:
            result, data = operation(head, body)
        except RefusedError as refusal:
            facts = {"status": refusal.status, "error": str(refusal), "code": refusal.code}
            return pack({**facts, "broker": self.id})
        return pack({"status": 200, "broker": self.id, **result}, data)

    def do_hello(self, head: dict[str, Any], body: bytes) -> Answer:
        """Introduce the broker; name the relays that seem forgotten."""
        now = time.monotonic()
        stale = [relay for relay, used in self._relays.items() if now - used > _STALE]
        stale = [relay for relay in stale if relay != self._home]
        for relay in stale:
            del self._relays[relay]
        return {"home": self._home, "stale": stale}, b""

    def do_run(self, head: dict[str, Any], body: bytes) -> Answer:
        """Begin a run, unless it exists, and read its events."""
        command = head["command"]
        if command.get("parcel"):
            command["path"] = str(self._transfers.path(str(command["parcel"])))
        run = self._queue.submit(str(head["run_id"]), command)
        return self._read(run, 0, head)

    def do_read(self, head: dict[str, Any], body: bytes) -> Answer:
        """Read a run's events from a position, or ``offset`` bytes behind the event ``after``."""
        run = self._queue.find(str(head["run_id"]))
        position = head.get("position")
        if position is None:
            with self._queue.changed:
                position = run.log.position(int(head.get("after", 0))) + int(head.get("offset", 0))
        return self._read(run, int(position), head)

    def _read(self, run: Run, position: int, head: dict[str, Any]) -> Answer:
        here = self._only(str(head.get("listener", "")))
        self._queue.wait(
            lambda: run.over or run.log.size > position or not here(), float(head.get("wait", 0))
        )
        # a moment more, so that a chatty cell's lines come together, and a short cell in one
        self._queue.wait(lambda: run.over or not here(), float(head.get("gather", 0)))
        with self._queue.changed:
            data = run.log.read(position, int(head["limit"]))
            position += len(data)
            end = run.over and position == run.log.size
        return {"position": position, "end": end}, data

    def _only(self, listener: str) -> Callable[[], bool]:
        """Return what says whether the request now begun is still the listener's last one."""
        number = next(self._numbers)
        with self._queue.changed:
            self._last[listener] = number
            self._last.move_to_end(listener)
            if len(self._last) > _LISTENERS:
                self._last.popitem(last=False)
            # one whose connection was cut holds a namespace for nobody
            self._queue.changed.notify_all()
        return lambda: self._last.get(listener) == number

    def do_runs(self, head: dict[str, Any], body: bytes) -> Answer:
        """List the runs, the newest first; as many as an answer can carry."""
        runs = self._queue.summaries()
        while len(json.dumps(runs)) > int(head["limit"]):
            runs = runs[: len(runs) // 2]
        return {"runs": runs}, b""

    def do_glance(self, head: dict[str, Any], body: bytes) -> Answer:
        """Tell what a panel shows: the latest runs, and what all of them use."""
        runs = self._queue.summaries()[:_RECENT_RUNS]
        for run in runs:
            del run["events"]
            if run["status"] in ("queued", "running"):
                run["seconds"] = None  # it moves, and what moves cannot be compared
        return {"runs": runs, "use": self._gauge.read()}, b""

    def do_interrupt(self, head: dict[str, Any], body: bytes) -> Answer:
        """Interrupt a run, or drop it from the queue."""
        self._queue.interrupt(self._queue.find(str(head["run_id"])))
        return {}, b""

    def do_restart(self, head: dict[str, Any], body: bytes) -> Answer:
        """Replace the kernel."""
        self._queue.restart(str(head["id"]))
        return {}, b""

    def do_write(self, head: dict[str, Any], body: bytes) -> Answer:
        """Take a piece of a value."""
        self._transfers.write(str(head["transfer"]), int(head["offset"]), body)
        return {}, b""

    def do_fetch(self, head: dict[str, Any], body: bytes) -> Answer:
        """Give a piece of a value."""
        data = self._transfers.read(str(head["transfer"]), int(head["offset"]), int(head["limit"]))
        return {}, data

    def do_drop(self, head: dict[str, Any], body: bytes) -> Answer:
        """Forget a value in passing."""
        self._transfers.drop(str(head["transfer"]))
        return {}, b""

    def do_task(self, head: dict[str, Any], body: bytes) -> Answer:
        """Have the kernel bind or encode a value, and say what came of it once it has."""
        here = self._only(str(head["id"]))
        path = str(self._transfers.path(str(head["id"])))
        task = self._queue.task(str(head["id"]), {**head["command"], "path": path})
        self._queue.wait(lambda: task.result is not None or not here(), float(head.get("wait", 0)))
        return {"result": task.result}, b""

    def do_ask(self, head: dict[str, Any], body: bytes) -> Answer:
        """Ask the kernel about a name, if it is free and quick."""
        task = self._queue.ask(head["command"])
        if task is not None:
            self._queue.wait(lambda: task.result is not None, float(head["wait"]))
        return {"result": task and task.result}, b""

    @property
    def forgotten(self) -> bool:
        """Whether nothing started it any more, nothing runs, and nobody has asked for long."""
        orphaned = os.getppid() != self._parent and not self._queue.busy
        return orphaned and time.monotonic() - self._last_asked > _ORPHANED

    def close(self) -> None:
        """End the kernel."""
        self._queue.close()


def main(folder: str, bundle: str) -> None:
    """Serve until nobody can need it any more."""
    with tempfile.TemporaryDirectory(prefix="clouditia-agent-") as own:
        # the workspace is the user's to clean up
        broker = Broker(Path(shutil.copy(bundle, own)))
        secret = secrets.token_bytes(16)
        address = "\0clouditia-" + secrets.token_hex(16)
        listener = Listener(address, "AF_UNIX", backlog=64, authkey=secret)
        rendezvous = Rendezvous(folder)
        rendezvous.write(address, secret)
        threading.Thread(target=_accept, args=(listener, broker), daemon=True).start()
        os.write(1, b"ready\n")
        os.dup2(2, 1)
        while Path(folder).parent.exists() and not broker.forgotten:
            time.sleep(_LOOK)
            if not rendezvous.path.exists():  # a cell cleaned up its workspace
                rendezvous.write(address, secret)
        broker.close()


def _accept(listener: Listener, broker: Broker) -> None:
    while True:
        try:
            connection = listener.accept()
        except Exception:  # a stranger without the secret, or one who left at once
            continue
        threading.Thread(target=_serve, args=(connection, broker), daemon=True).start()


def _serve(connection: Any, broker: Broker) -> None:
    with connection:
        try:
            while True:
                connection.send_bytes(broker.answer(connection.recv_bytes()))
        except (EOFError, OSError):
            pass  # the relay went away
