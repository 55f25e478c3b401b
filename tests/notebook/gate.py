"""A gate that code in sessions waits at, until the test opens it."""

from __future__ import annotations

import socket
import threading


class Gate:
    """Holds connections on this machine's own address until it is open.

    Files would not do: a session has folders of its own.

    Parameters
    ----------
    opens_at
        How many have to wait for it to open by itself; 0 leaves it to :meth:`open`.

    Attributes
    ----------
    code
        Python that waits at it, in lines of its own.
    """

    def __init__(self, opens_at: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._opens_at = opens_at
        self._waiting: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_open = False
        address = self._server.getsockname()
        self.code = (
            f"import socket\nwith socket.create_connection({address!r}) as gate: gate.recv(1)\n"
        )
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *error: object) -> None:
        self.open()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._keeper.join()

    def open(self) -> None:
        """Let pass all who wait, and all who come."""
        with self._lock:
            self._is_open = True
            while self._waiting:
                self._waiting.pop().close()

    def _keep(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:  # closed
                return
            with self._lock:
                self._waiting.append(connection)
                enough = self._is_open or len(self._waiting) == self._opens_at
            if enough:
                self.open()
