"""``%load_ext`` and ``%unload_ext``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from clouditia_jupyter.notebook.magics import ClouditiaMagics

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_NAME = ClouditiaMagics.__name__


def load_ipython_extension(ipython: InteractiveShell) -> None:
    """Add ``%clouditia`` and ``%%clouditia_run``; quiet, and without any request."""
    if _NAME not in ipython.magics_manager.registry:
        ipython.register_magics(ClouditiaMagics)
        magics = ipython.magics_manager.registry[_NAME]
        magics.completion.install()
        magics.as_typed.install()
        magics.whole.install()


def unload_ipython_extension(ipython: InteractiveShell) -> None:
    """Take everything away that loading added, and close connections; sessions run on."""
    manager = ipython.magics_manager
    magics = manager.registry.pop(_NAME, None)
    if magics is None:
        return
    for kind, names in magics.magics.items():
        for name in names:
            manager.magics[kind].pop(name, None)
    if magics in ipython.configurables:
        ipython.configurables.remove(magics)
    magics.completion.remove()
    magics.whole.remove()
    magics.as_typed.remove()
    if comms := sys.modules.get("clouditia_jupyter.notebook.comms"):
        comms.withdraw(ipython)
    if panels := sys.modules.get("clouditia_jupyter.notebook.panel.panel"):
        panels.close_panel(ipython)
    magics.close()
