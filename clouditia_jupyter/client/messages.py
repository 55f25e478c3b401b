"""A session's widgets: messages to them, and the events that no run is the frame of."""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any

from clouditia_jupyter.client.events import EventStream
from clouditia_jupyter.client.route import Route
from clouditia_jupyter.errors import ClouditiaError


class Messages:
    """What goes to and from the widgets of one session, by one way to it."""

    def __init__(self, route: Route) -> None:
        self._route = route

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Messages) and self._route is other._route

    def __hash__(self) -> int:
        return hash(self._route)

    @property
    def session_id(self) -> str:
        """The session's full id."""
        if not self._route.session_id:
            self._route.verify()
        return self._route.session_id

    @property
    def supported(self) -> bool:
        """Whether the service passes messages on."""
        return self._route.supports("comms")

    def send(
        self,
        msg_id: str,
        kind: str,
        content: Mapping[str, Any],
        *,
        metadata: Mapping[str, Any] | None = None,
        buffers: Iterable[Any] = (),
        subshell: bool = False,
    ) -> None:
        """Send a widget a message; what comes of it is among the events of :meth:`follow`.

        Parameters
        ----------
        msg_id
            The front end's own id of the message: those events name it as their ``parent``.
        kind
            ``comm_open``, ``comm_msg`` or ``comm_close``.
        buffers
            Bytes, or whatever is laid out like bytes.
        subshell
            Whether it is handled beside the run under way, rather than after it.
        """
        body = {
            "msg_id": msg_id,
            "type": kind,
            "content": content,
            "metadata": metadata or {},
            "buffers": [b64encode(buffer).decode() for buffer in buffers],
            "subshell": subshell,
        }
        self._route.call("POST", "/api/messages/", json=body, idempotent=True)

    def follow(self, after: int = 0) -> SessionStream:
        """Return the stream of the session's events outside of runs."""
        return SessionStream(self._route, after)


class SessionStream(EventStream):
    """The events that belong to no run under way, each once; it ends with the session.

    Besides a run's types there are ``idle``, the last that comes of a message, and ``lost``, where
    the kernel was replaced and its widgets are dead.

    Attributes
    ----------
    history
        The number of the last event that had happened when the stream began.
    """

    def __init__(self, route: Route, after: int = 0) -> None:
        super().__init__(route, "", after=after)
        self._path = "/api/events/"
        self.history: int | None = None

    def stop(self) -> None:
        """End the iteration; from another thread, too."""
        self._ended = True
        response = self._response
        if response is None:
            return
        stream = response.extensions.get("network_stream")
        connection = None if stream is None else stream.get_extra_info("socket")
        if connection is None:  # the wire to this machine, which wakes the thread that reads
            response.close()
            return
        # closing would not wake it
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has gone by itself

    def _connect(self) -> None:
        super()._connect()
        if self.history is None and self._response is not None:
            self.history = int(self._response.headers.get("x-clouditia-events", 0))

    def _recover(self, error: ClouditiaError) -> None:
        if not self._ended:
            super()._recover(error)
