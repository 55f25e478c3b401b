"""Events become the outputs that a local cell would give: in a terminal, and captured."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from IPython.utils.capture import capture_output

from clouditia_jupyter.models import Event
from clouditia_jupyter.notebook.output import UpdatingLine, footnote
from clouditia_jupyter.notebook.render import Renderer

if TYPE_CHECKING:
    import pytest

    from tests.notebook.conftest import Shell

FIGURE = {"data": {"text/plain": "<Figure>", "image/png": "AAAA"}, "metadata": {"a": 1}}


def shown(renderer: Renderer, *events: tuple[str, dict[str, Any]]) -> None:
    for seq, (kind, content) in enumerate(events, 1):
        renderer.show(Event(seq=seq, type=kind, content=content))


def test_streams_go_where_they_belong(
    bare_shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shown(
        Renderer(bare_shell.ip),
        ("stream", {"name": "stdout", "text": "out\r50%"}),
        ("stream", {"name": "stderr", "text": "err\n"}),
    )
    assert capsys.readouterr() == ("out\r50%", "err\n")


def test_a_session_asks_nothing_else_of_the_front_end_than_a_pager(
    bare_shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clouditia_jupyter.notebook.render.has_front_end", lambda shell: True)
    page = {"source": "page", "data": {"text/plain": "help"}, "start": 0}
    asked = ("payload", {"source": "ask_exit", "keepkernel": False})
    payloads = bare_shell.ip.payload_manager
    payloads.clear_payload()
    try:
        shown(Renderer(bare_shell.ip), asked, ("payload", page))
        assert payloads.read_payload() == [page]
    finally:
        payloads.clear_payload()


def test_displays_are_captured_whole_with_their_ids(bare_shell: Shell) -> None:
    with capture_output() as captured:
        bare_shell.ip.user_ns["renderer"] = Renderer(bare_shell.ip)
        # capture_output replaces the publisher of the running shell only
        publisher, bare_shell.ip.display_pub = bare_shell.ip.display_pub, _Recorder()
        recorder = bare_shell.ip.display_pub
        try:
            shown(
                Renderer(bare_shell.ip),
                ("display_data", {**FIGURE, "transient": {"display_id": "d1"}}),
                ("update_display_data", {**FIGURE, "transient": {"display_id": "d1"}}),
                ("clear_output", {"wait": True}),
            )
        finally:
            bare_shell.ip.display_pub = publisher
    assert captured.stdout == ""
    display = {**FIGURE, "transient": {"display_id": "d1"}}
    assert recorder.seen == [
        {**display, "update": False},
        {**display, "update": True},
        {"wait": True},
    ]


class _Recorder:
    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def publish(self, **message: Any) -> None:
        self.seen.append(message)

    def clear_output(self, wait: bool = False) -> None:
        self.seen.append({"wait": wait})


def test_a_result_is_shown_behind_its_number_in_a_terminal(
    bare_shell: Shell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "displayhook", bare_shell.ip.displayhook)
    bare_shell.ip.execution_count = 7
    shown(Renderer(bare_shell.ip), ("execute_result", {"data": {"text/plain": "42"}}))
    out = capsys.readouterr().out
    assert "Out[" in out
    assert out.strip().endswith("42")


def test_a_result_inside_capture_is_captured_rich(bare_shell: Shell) -> None:
    bare_shell.ip.user_ns["show"] = lambda: shown(
        Renderer(bare_shell.ip), ("execute_result", FIGURE)
    )
    from IPython.core.displayhook import CapturingDisplayHook

    hook, before = CapturingDisplayHook(shell=bare_shell.ip), sys.displayhook
    sys.displayhook = hook
    try:
        bare_shell.ip.user_ns["show"]()
    finally:
        sys.displayhook = before
    assert hook.outputs == [FIGURE]


def test_unknown_types_and_the_end_show_nothing(
    bare_shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    shown(Renderer(bare_shell.ip), ("done", {"status": "ok"}), ("novel", {}))
    assert capsys.readouterr() == ("", "")


def test_a_line_repeats_in_a_terminal_only_where_it_changes(
    bare_shell: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    line = UpdatingLine(bare_shell.ip)
    for text in ("one", "one", "two"):
        line.show(text)
    assert capsys.readouterr().out == "one\ntwo\n"


def test_the_footnote_escapes_what_a_server_sent(bare_shell: Shell) -> None:
    recorder = _Recorder()
    publisher, bare_shell.ip.display_pub = bare_shell.ip.display_pub, recorder
    try:
        footnote(bare_shell.ip, "<img src=x>")
    finally:
        bare_shell.ip.display_pub = publisher
    (message,) = recorder.seen
    assert "<img" not in message["data"]["text/html"]
    assert message["data"]["text/plain"] == "<img src=x>"
