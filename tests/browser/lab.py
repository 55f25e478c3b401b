"""JupyterLab as a process, and a page of it in a browser, driven as a person would."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page, expect

from tests.browser.server import Server

#: Settings of Lab that would make a page change by itself.
_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "docmanager-extension/plugin": {"autosave": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}
_NOTEBOOK = ".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Notebook"
#: Resolves when the notebook's kernel is connected and has nothing to do.
_READY = """async () => {
  const until = Date.now() + 60000;
  while (Date.now() < until) {
    const app = window.jupyterapp;
    if (app) {
      await app.restored;
      const panel = app.shell.currentWidget;
      if (panel && panel.sessionContext && panel.content && panel.content.widgets) {
        await panel.revealed; await panel.context.ready; await panel.sessionContext.ready;
        const kernel = panel.sessionContext.session && panel.sessionContext.session.kernel;
        if (kernel) {
          await kernel.info;
          if (kernel.connectionStatus === 'connected' && kernel.status === 'idle') return;
        }
      }
    }
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error('the notebook did not become ready');
}"""
#: Runs a cell; its promise resolves when the kernel has answered.
_RUN = """async ([index, wait]) => {
  const app = window.jupyterapp, panel = app.shell.currentWidget;
  panel.content.activeCellIndex = index;
  panel.content.deselectAll();
  const run = app.commands.execute('notebook:run-cell');
  if (wait) await run;
}"""


class Lab:
    """A JupyterLab on a free port, with nothing of the user's own configuration.

    Attributes
    ----------
    url
        Where it answers, without a token: on this machine alone.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self._own = folder / "jupyter"
        self._root = folder / "notebooks"
        self._root.mkdir()
        for name, value in _SETTINGS.items():
            path = self._own / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))
        options = [
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.port=0",
            "--IdentityProvider.token=",
            "--ServerApp.password=",
            "--ServerApp.disable_check_xsrf=True",
            f"--ServerApp.root_dir={self._root}",
            "--LabApp.extension_manager=readonly",
            "--LabApp.news_url=None",
            "--LabApp.expose_app_in_browser=True",
        ]
        self._server = Server(self._own, self._root, "jupyterlab", *options, **environment)
        self.url = self._server.wait(self._find)

    def _find(self) -> str:
        for path in (self._own / "runtime").glob("jpserver-*.json"):
            url = str(json.loads(path.read_text())["url"]).rstrip("/")
            with urllib.request.urlopen(f"{url}/api/status", timeout=1):
                return url
        raise OSError("not up yet")

    def keep(self, name: str, text: str) -> None:
        """Put a file beside the notebooks."""
        (self._root / name).write_text(text)

    def write(self, name: str, cells: list[str]) -> None:
        """Put a notebook of code cells where Lab finds it."""
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells],
            metadata={"kernelspec": {"name": "python3", "display_name": "", "language": "python"}},
        )
        nbformat.write(notebook, self._root / name)

    def close(self) -> None:
        """End Lab and its kernels."""
        self._server.close()


class NotebookPage:
    """A notebook that is open in a browser."""

    def __init__(self, page: Page, url: str, name: str) -> None:
        self.page = page
        self._url = url
        page.goto(f"{url}/lab/tree/{name}?reset", wait_until="domcontentloaded")
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        self.page.wait_for_selector(f"{_NOTEBOOK} .jp-CodeCell", timeout=60_000)
        self.page.evaluate(_READY)
        self.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)

    def outputs(self, index: int) -> Locator:
        """Return what the user sees below a cell."""
        return self.page.locator(f"{_NOTEBOOK} .jp-Cell").nth(index).locator(".jp-OutputArea").first

    def run(self, index: int) -> Locator:
        """Run a cell to its end, and return what it shows."""
        self.page.evaluate(_RUN, [index, True])
        return self.outputs(index)

    def begin(self, index: int) -> Locator:
        """Begin a cell, and return what it shows."""
        self.page.evaluate(_RUN, [index, False])
        return self.outputs(index)

    def command(self, name: str, **arguments: Any) -> Any:
        """Do what a menu entry does."""
        return self.page.evaluate(
            "([name, args]) => window.jupyterapp.commands.execute(name, args)", [name, arguments]
        )

    def wait_until_idle(self) -> None:
        """Return when the kernel has nothing to do."""
        self.page.evaluate(_READY)

    def use_theme(self, name: str) -> None:
        """Change the theme, ``JupyterLab Dark`` or ``JupyterLab Light``, as its menu does."""
        self.command("apputils:change-theme", theme=name)
        light = "false" if "Dark" in name else "true"
        self.page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def fill(self, width: int, height: int) -> None:
        """Give the notebook all of a window of this size, in pixels."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.evaluate(
            "() => { const shell = window.jupyterapp.shell;"
            " shell.collapseLeft(); shell.collapseRight(); shell.mode = 'single-document'; }"
        )

    def saved(self) -> str:
        """Save the notebook, and return its file's text."""
        save = "() => window.jupyterapp.shell.currentWidget.context.save()"
        path = "() => window.jupyterapp.shell.currentWidget.context.path"
        self.page.evaluate(save)
        answer = self.page.request.get(f"{self._url}/files/{self.page.evaluate(path)}")
        return answer.text()

    def reload(self) -> None:
        """Save the notebook, and load the page again as the browser does."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")
        self.page.reload(wait_until="domcontentloaded")
        self._wait_until_ready()


def answer(outputs: Locator, prompt: str, value: str) -> None:
    """Type an answer where a cell asks for it."""
    box = outputs.locator(".jp-Stdin-input")
    expect(outputs.locator(".jp-Stdin-prompt")).to_contain_text(prompt)
    box.fill(value)
    box.press("Enter")
