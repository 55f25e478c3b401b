"""Voilà as a process: it executes a notebook for each page that asks, and shows outputs alone."""

from __future__ import annotations

import socket
from pathlib import Path

import nbformat

from tests.browser.server import Server


class Voila:
    """A Voilà that serves one notebook of code cells.

    Attributes
    ----------
    url
        Where it answers, on this machine alone; ``?voila-theme=dark`` is dark.
    """

    def __init__(self, folder: Path, cells: list[str], **environment: str) -> None:
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
        )
        nbformat.write(notebook, folder / "served.ipynb")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        options = ["served.ipynb", "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}"]
        # where the benchmarks' packages are too: it expects more of a page than Voilà has
        options += ["--VoilaConfiguration.extension_denylist=ipyparallel-labextension"]
        options += ["--show_tracebacks=True", "--VoilaConfiguration.allow_theme_override=YES"]
        self._server = Server(folder / "jupyter", folder, "voila", *options, **environment)
        self.url = self._server.wait(lambda: _find(port))

    def close(self) -> None:
        """End Voilà and its kernels."""
        self._server.close()


def _find(port: int) -> str:
    # nothing but the notebook answers there, and asking for it would execute it
    with socket.create_connection(("127.0.0.1", port), timeout=1):
        return f"http://127.0.0.1:{port}"
