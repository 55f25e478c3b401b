"""The processes that the zip file can become."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the role that the command line names."""
    bundle = sys.path.pop(0)
    role, argument = sys.argv[1:]
    if role == "broker":
        from clouditia_jupyter.client.agent.remote.broker import main as serve

        serve(argument, bundle)
    else:
        sys.path.insert(0, bundle)
        from clouditia_jupyter.client.agent.remote.cells import main as execute

        # what cells import comes from where a notebook's would
        del sys.path[0]
        sys.path.insert(_first_of_sites(), "")
        execute(int(argument))


def _first_of_sites() -> int:
    """Return where a notebook has its working folder: behind the standard library."""
    sites = (
        i for i, path in enumerate(sys.path) if path.endswith(("/site-packages", "/dist-packages"))
    )
    return next(sites, 0)
