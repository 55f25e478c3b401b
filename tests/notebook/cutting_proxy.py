"""A TCP proxy that cuts the connections it carries, wherever in a byte stream that may be."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK = 1 << 16
#: Closes with a reset, as a network that breaks does, not with an orderly end.
_ABRUPTLY = struct.pack("ii", 1, 0)


class CuttingProxy:
    """Listens on ``port`` and passes bytes on to another one.

    Parameters
    ----------
    target
        The port on this machine that it stands before.
    rng
        Draws after how many bytes, in either direction, a connection is cut.
    most
        The most bytes that a connection may carry.

    Attributes
    ----------
    armed
        Whether connections are cut from now on.
    cuts
        How many have been.
    """

    def __init__(self, target: int, rng: random.Random, most: int) -> None:
        self._target, self._rng, self._most = target, rng, most
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.armed = False
        self.cuts = 0
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> CuttingProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # close alone does not wake the thread that accepts
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                with self._lock:
                    self._open |= {client, server}
                Pair(self, client, server, self._rng.randrange(self._most)).start()

    def ended(self, pair: Pair) -> None:
        """Forget a connection; count it if it was cut."""
        with self._lock:
            self._open -= {pair.client, pair.server}
            self.cuts += pair.cut


class Pair:
    """One connection through the proxy, which carries ``left`` more bytes once it is armed."""

    def __init__(
        self, proxy: CuttingProxy, client: socket.socket, server: socket.socket, left: int
    ) -> None:
        self.client, self.server = client, server
        self.cut = False
        self._proxy, self._left = proxy, left
        self._lock = threading.Lock()
        self._ends = 2

    def start(self) -> None:
        """Pass bytes on, both ways, until one side closes or the count is used up."""
        for source, sink in ((self.client, self.server), (self.server, self.client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                allowed = self._allowed(len(data))
                sink.sendall(data[:allowed])
                if allowed < len(data):
                    self.cut = True
                    break
        with self._lock:
            self._ends -= 1
            last = self._ends == 0
            for end in (self.client, self.server):
                with contextlib.suppress(OSError):
                    # only wakes the other thread where a reset is to follow
                    end.shutdown(socket.SHUT_RD if self.cut else socket.SHUT_RDWR)
        if last:
            self._proxy.ended(self)
            for end in (self.client, self.server):
                if self.cut:
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABRUPTLY)
                end.close()

    def _allowed(self, wanted: int) -> int:
        with self._lock:
            if not self._proxy.armed:
                return wanted
            allowed = min(wanted, self._left)
            self._left -= allowed
            return allowed
