"""``python -m clouditia_jupyter.platform``: see ``options`` for what it takes."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Sequence

from clouditia_jupyter.errors import ConfigurationError
from clouditia_jupyter.platform.listener import bind
from clouditia_jupyter.platform.options import Options, parse
from clouditia_jupyter.platform.state import StateFolder

_CANNOT_START = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve in the foreground; return the exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would log every request
    try:
        options = parse(arguments)
        return _top_up(options) if options.top_up is not None else _serve(options)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return _CANNOT_START


def _serve(options: Options) -> int:
    # imports make much and free little: collecting there is a tenth of the start. The server
    # turns it on again when it is ready.
    gc.disable()
    # the port before the folder: where it is taken, nothing is made
    with bind(options.host, options.port) as listener, StateFolder(options.state) as state:
        # the rest after the lock: a second platform is refused at once
        from clouditia_jupyter.platform.server import serve

        return serve(options, state, listener)


def _top_up(options: Options) -> int:
    from clouditia_jupyter.platform.topup import top_up

    assert options.top_up is not None
    sys.stdout.write(top_up(options, StateFolder(options.state), options.top_up) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
