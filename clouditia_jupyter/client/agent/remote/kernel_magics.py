"""The magics that a notebook's kernel adds to IPython's, loaded when one of them is first used."""

from __future__ import annotations

from typing import Any

from ipykernel.zmqshell import KernelMagics


def load_ipython_extension(shell: Any) -> None:
    """Add them to a shell."""
    shell.register_magics(KernelMagics)
