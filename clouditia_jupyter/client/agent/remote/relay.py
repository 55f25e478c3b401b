"""In a persistent namespace: takes a request out of the code, gives the answer as a print.

The answer stands between two markers that only this request's sender knows, so that nothing else
that is printed can be taken for it.
"""

from __future__ import annotations

import base64
import fcntl
import linecache
import subprocess
import sys
import traceback
import zlib
from pathlib import Path
from typing import Any

from clouditia_jupyter.client.agent.remote.wire import Rendezvous, pack

_PLAIN, _ZIPPED = b"p", b"z"
_WORTH_ZIPPING = 1 << 10


class Relay:
    """One namespace's connection to the session's broker.

    Parameters
    ----------
    bundle
        Path of the agent's zip file, which lies in the session's own folder.
    """

    def __init__(self, bundle: str) -> None:
        self._bundle = bundle
        self._rendezvous = Rendezvous(str(Path(bundle).parent))
        self._connection: Any = None

    def exchange(self, marker: str, request: str) -> None:
        """Print the broker's answer to ``request`` (base64)."""
        try:
            answer = self._ask(base64.b64decode(request))
        except Exception:
            answer = pack({"status": 500, "trouble": traceback.format_exc()})
        kind = _PLAIN
        if len(answer) > _WORTH_ZIPPING:
            zipped = zlib.compress(answer, 1)
            if len(zipped) < 0.9 * len(answer):
                kind, answer = _ZIPPED, zipped
        text = base64.b64encode(kind + answer).decode()
        sys.stdout.write(f"{marker}:{text}:{marker}\n")
        sys.stdout.flush()

    def _ask(self, message: bytes) -> bytes:
        kept = self._connection is not None
        while True:
            connection, self._connection = self._connection or self._connect(), None
            try:
                connection.send_bytes(message)
                answer: bytes = connection.recv_bytes()
            except (OSError, EOFError):
                connection.close()
                if not kept:
                    raise
                kept = False  # the broker it led to is gone
            except BaseException:
                connection.close()  # its next answer would be to this question
                raise
            else:
                self._connection = connection
                return answer

    def _connect(self) -> Any:
        with (self._rendezvous.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            connection = self._rendezvous.connect()
            if connection is None:
                self._start_broker()
                connection = self._rendezvous.connect()
        if connection is None:
            raise OSError("the agent's broker was started and does not answer")
        return connection

    def _start_broker(self) -> None:
        with (self._rendezvous.folder / "agent.log").open("ab") as log:
            broker = subprocess.Popen(
                [sys.executable or "python3", self._bundle, "broker", str(self._rendezvous.folder)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert broker.stdout is not None
        with broker.stdout:
            if not broker.stdout.readline():
                raise OSError(f"the agent's broker did not start; see {log.name}")


_installed: list[Relay] = []


def install(bundle: str) -> None:
    """Make this namespace's relay."""
    _installed[:] = [Relay(bundle)]
    shell = _ipython()
    if shell:
        # a notebook's kernel names code by a hash in pure Python, which for a piece of a value
        # takes longer than all the rest
        shell.compile.get_code_name = lambda *_args: "<agent>"
        shell.history_manager.enabled = False


def exchange(marker: str, request: str) -> None:
    """Print the answer to a request; see :class:`Relay`."""
    _forget_source()
    _installed[0].exchange(marker, request)


def _forget_source() -> None:
    """Drop what an IPython namespace keeps of each request: a big value is thousands of them."""
    linecache.cache.pop(sys._getframe(2).f_code.co_filename, None)
    shell = _ipython()
    if not shell:
        return
    history = shell.history_manager
    for kept in (history.input_hist_parsed, history.input_hist_raw):
        kept[:] = [""] * len(kept)
    del history.db_input_cache[:]
    for name in [name for name in shell.user_ns if name[:2] == "_i" and name[2:].isdigit()]:
        del shell.user_ns[name]


def _ipython() -> Any:
    """Return the IPython that executes this namespace; None where it is another thing."""
    ipython = sys.modules.get("IPython")
    return ipython and ipython.get_ipython()
