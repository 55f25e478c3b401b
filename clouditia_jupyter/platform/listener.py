"""The socket that the platform listens on."""

from __future__ import annotations

import socket

from clouditia_jupyter.errors import ConfigurationError


def url_of(host: str, listener: socket.socket) -> str:
    """Return the URL at which clients on this machine reach the listener."""
    port = listener.getsockname()[1]
    if host in ("", "0.0.0.0", "::"):  # every address: this machine's clients use one
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    ConfigurationError
        If the port is taken, or the address is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} on {host} cannot be used ({error.strerror}); "
            "choose another --port, or 0 for any free one."
        ) from error
    return listener
