"""Tab and Shift-Tab, in the shell and through a kernel's own requests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.manager import start_new_kernel

from clouditia_jupyter.client import LiveSession
from clouditia_jupyter.notebook import starter
from tests.notebook.conftest import Shell, manager_for, stop_all


def complete(shell: InteractiveShell, text: str) -> list[str]:
    """Return what Tab offers at the end of ``text``."""
    with provisionalcompleter():
        return [c.text for c in shell.Completer.completions(text, len(text))]


@pytest.fixture
def loaded(shell: Shell) -> InteractiveShell:
    return shell.ip


def test_commands_complete(loaded: InteractiveShell) -> None:
    assert complete(loaded, "%clouditia cre") == ["create"]
    assert {"inventory", "create", "stop", "costs"} <= set(complete(loaded, "%clouditia "))


def test_options_complete_and_are_not_offered_twice(loaded: InteractiveShell) -> None:
    assert complete(loaded, "%clouditia create --cost") == ["--cost-limit"]
    assert "--vcpu" not in complete(loaded, "%clouditia create --vcpu 2 --")
    assert complete(loaded, "%%clouditia_run --time") == ["--timeout"]


def test_choices_and_variables_complete(loaded: InteractiveShell) -> None:
    loaded.user_ns["measurements"] = 1
    assert complete(loaded, "%clouditia queue ca") == ["cancel"]
    assert complete(loaded, "%%clouditia_run -i measure") == ["measurements"]
    assert complete(loaded, "%%clouditia_run -i a,measure") == ["a,measurements"]


def test_other_cells_complete_as_before(loaded: InteractiveShell) -> None:
    loaded.user_ns["measurements"] = 1
    assert "measurements" in complete(loaded, "measurem")
    assert "%%clouditia_run" in complete(loaded, "%%clouditia_r")


def test_unloading_takes_the_completer_away(loaded: InteractiveShell) -> None:
    loaded.run_line_magic("unload_ext", "clouditia_jupyter")
    assert loaded.Completer.custom_matchers == []
    assert complete(loaded, "%clouditia cre") == []


class Editor:
    """A notebook's kernel, asked as JupyterLab asks it."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def run(self, code: str) -> None:
        reply = self.client.execute_interactive(code, allow_stdin=False, timeout=60)
        assert reply["content"]["status"] == "ok", reply["content"]

    def complete(self, code: str) -> list[str]:
        reply = self.client.complete(code, reply=True, timeout=30)["content"]
        start = reply["cursor_start"]
        return [code[:start] + match for match in reply["matches"]]

    def inspect(self, code: str) -> dict[str, Any]:
        content: dict[str, Any] = self.client.inspect(code, reply=True, timeout=30)["content"]
        return content


@pytest.fixture(scope="module")
def editor(state: Path) -> Iterator[Editor]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("CLOUDITIA_")}
    manager, client = start_new_kernel(env={**environment, "CLOUDITIA_STATE": str(state)})
    editor = Editor(client)
    editor.run("%load_ext clouditia_jupyter")
    editor.run("%clouditia create --gpu nvidia-rtx-3060ti --vcpu 1 --ram 2 --name typing")
    editor.run("%%clouditia_run\nremote_frame = {'a': 1}\nimport collections")
    editor.run("local_only = 1")
    yield editor
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()
    with manager_for(starter.find_or_start(state)) as account:
        stop_all(account)


@pytest.mark.both_paths
def test_a_remote_cell_completes_remote_names(editor: Editor) -> None:
    cell = "%%clouditia_run\nx = 1\nremote_f"
    assert editor.complete(cell) == ["%%clouditia_run\nx = 1\nremote_frame"]
    attributes = editor.complete("%%clouditia_run\ncollections.Ordered")
    assert attributes == ["%%clouditia_run\ncollections.OrderedDict"]


@pytest.mark.both_paths
def test_local_names_stay_out_of_a_remote_cell(editor: Editor) -> None:
    assert editor.complete("%%clouditia_run\nlocal_on") in ([], ["%%clouditia_run\nlocal_on"])


def test_gpus_and_sessions_complete(editor: Editor, state: Path) -> None:
    offered = editor.complete("%clouditia create --gpu nvidia-rtx-30")
    assert "%clouditia create --gpu nvidia-rtx-3090" in offered
    assert "%clouditia use typing" in editor.complete("%clouditia use typ")
    with manager_for(starter.find_or_start(state)) as account:
        (short,) = [s.short_id for s in account.list_sessions("running") if s.name == "typing"]
        gone = account.create_session("nvidia-rtx-3090", verbose=False)
        account.rename_session(gone, "typing-no-more")
        account.stop_session(gone, verbose=False)
    for command in ("%clouditia use ", "%clouditia stop ", "%%clouditia_run --session "):
        assert command + short in editor.complete(command + short[:4])
        assert f"{command}typing-no-more" not in editor.complete(f"{command}typing-n")
    assert "%clouditia show typing-no-more" in editor.complete("%clouditia show typing-n")


@pytest.mark.both_paths
def test_help_on_a_remote_name_comes_from_the_session(editor: Editor) -> None:
    found = editor.inspect("%%clouditia_run\nremote_frame")
    assert found["found"]
    assert "dict" in found["data"]["text/plain"]
    assert not editor.inspect("%%clouditia_run\nlocal_only")["found"]
    assert editor.inspect("local_only")["found"]


@pytest.mark.both_paths
def test_a_busy_session_is_not_asked(editor: Editor, state: Path) -> None:
    service = starter.find_or_start(state)
    with manager_for(service) as account:
        session = next(s for s in account.list_sessions("running") if s.name == "typing")
        key = account.generate_sdk_key(session.id)
    with LiveSession(key, service.editor_url) as live:
        stream = live.start("print('in', flush=True)\nimport time; time.sleep(600)")
        assert next(stream).content["text"] == "in\n"
        assert live.complete("remote_f", 8) is None
        stream.interrupt()
        assert [event.type for event in stream][-1] == "done"
        answer = live.complete("remote_f", 8)
        assert answer is not None
        assert answer["matches"] == ["remote_frame"]
