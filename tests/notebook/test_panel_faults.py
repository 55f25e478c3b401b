"""What the control panel survives: platforms that go, keys that end, a kernel that is busy."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest

from clouditia_jupyter.errors import SessionNotFoundError, WaitTimeoutError
from clouditia_jupyter.notebook import starter
from clouditia_jupyter.notebook.panel.worker import Worker
from tests.notebook.conftest import manager_for, stop_all
from tests.notebook.front_end import FrontEnd, text_of
from tests.notebook.panel_page import A, Opened, Page, quiet_refreshes

if TYPE_CHECKING:
    from pathlib import Path

    from clouditia_jupyter.notebook.panel.panel import Panel
    from tests.notebook.conftest import Local, Shell
    from tests.running import RunningPlatform

# What goes wrong


@pytest.fixture
def own(
    start_platform: Callable[..., RunningPlatform],
    shell: Shell,
    page: Page,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[RunningPlatform, Opened]]:
    """Return a platform to be ill-treated, and a panel that shows it by address and key."""
    platform = start_platform()
    monkeypatch.setenv("CLOUDITIA_BASE_URL", platform.where["computing_url"])
    monkeypatch.setenv("CLOUDITIA_API_KEY", platform.where["api_key"])
    platform.create(gpu_type=A)
    with manager_for(starter.find_or_start(platform.state)) as manager:
        yield platform, Opened(shell, page, manager)


def test_a_platform_that_is_gone_leaves_its_last_data(own: tuple[RunningPlatform, Opened]) -> None:
    platform, opened = own
    page = opened.page
    page.until("sessions", bool)
    before = page["sessions"], page["account"]
    platform.kill()
    trouble = page.until("trouble", lambda now: now and "Nothing answers at" in now["text"])
    assert trouble["since"] is not None
    assert (page["sessions"], page["account"]) == before
    assert page.click("stop", id=before[0][0]["id"])["ok"] is False
    port = platform.where["computing_url"].rsplit(":", 1)[1].removesuffix("/jobs")
    platform.start("--port", port)
    page.until("trouble", lambda now: now is None)
    assert page["sessions"][0]["id"] == before[0][0]["id"]


def test_a_platform_that_answers_no_more_in_time(
    own: tuple[RunningPlatform, Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, opened = own
    opened.page.until("sessions", bool)
    monkeypatch.setattr("clouditia_jupyter.client.overview.TIMEOUT", 0.3)
    os.kill(platform.where["pid"], signal.SIGSTOP)
    try:
        opened.panel.refresh()
        assert "does not answer in time" in opened.page.until("trouble", bool)["text"]
    finally:
        os.kill(platform.where["pid"], signal.SIGCONT)
    opened.panel.refresh()
    opened.page.until("trouble", lambda now: now is None)


def test_a_key_that_is_revoked(
    own: tuple[RunningPlatform, Opened], monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, opened = own
    page = opened.page
    page.until("sessions", bool)
    platform.kill()
    (platform.state / "account.key").unlink()
    port = platform.where["computing_url"].rsplit(":", 1)[1].removesuffix("/jobs")
    platform.start("--port", port)
    page.until("trouble", lambda now: now and "has been revoked" in now["text"])
    assert page["sessions"]
    monkeypatch.setenv("CLOUDITIA_API_KEY", platform.where["api_key"])
    page.until("trouble", lambda now: now is None)


def test_a_panel_that_cannot_begin_says_why_and_begins_later(
    local: Local, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell, _ = local
    monkeypatch.setenv("CLOUDITIA_BASE_URL", "http://127.0.0.1:9")
    opened: Panel = shell.run("%clouditia panel")
    page.look()
    trouble = page.until("trouble", bool)
    assert "no key for it" in trouble["text"]
    assert (trouble["since"], page["account"]) == (None, None)
    assert "without data" in repr(opened)
    monkeypatch.delenv("CLOUDITIA_BASE_URL")
    assert page.click("refresh")["ok"]
    page.until("account", bool)
    page.until("trouble", lambda now: now is None)


def test_a_platform_of_this_machine_is_started_by_a_click_only(
    shell: Shell, page: Page, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("CLOUDITIA_STATE", str(state))
    with manager_for(starter.find_or_start(state)) as manager:
        opened = Opened(shell, page, manager)
    page.until("account", bool)
    ended = json.loads((state / "platform.json").read_text())["pid"]
    os.kill(ended, signal.SIGTERM)
    trouble = page.until("trouble", bool)
    assert trouble["start"]
    opened.panel.refresh()
    assert starter.find(state) is None
    assert page.click("refresh")["ok"]
    page.until("trouble", lambda now: now is None)
    service = starter.find(state)
    assert service is not None
    with manager_for(service) as manager:
        stop_all(manager)
    os.kill(json.loads((state / "platform.json").read_text())["pid"], signal.SIGTERM)


def test_the_stock_service_is_put_together(
    stock_state: Path, shell: Shell, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLOUDITIA_STATE", str(stock_state))
    with manager_for(starter.find_or_start(stock_state)) as manager:
        opened = Opened(shell, page, manager)
        page.until("account", bool)
        session = manager.create_session(gpu_type=A, vcpu=1, ram=1, verbose=False)
        assert not isinstance(session, dict)
        opened.panel.refresh()
        row = page.until("sessions", lambda rows: rows and rows[0]["status"] == "running")[0]
        assert (row["price"], row["rate"]) == (0.42, 0.42)
        assert page["place"]["pause"] == ""
        assert row["watched"] is False
        # what runs there and what it uses is asked of the session that cells run in
        shell.run(f"%clouditia use {session.id}")
        shell.run("%%clouditia_run\nheld = bytearray(100 << 20)")
        opened.panel.refresh()
        (run,) = page.until("runs", bool)
        assert (run["line"], run["status"]) == ("held = bytearray(100 << 20)", "ok")
        drawn = page["charts"][session.id]
        assert [one["label"] for one in drawn] == ["CPU", "RAM"]
        assert page["sessions"][0]["watched"] is True
        left = manager.get_balance()["balance"]
        overview = opened.panel._board.overview
        assert overview is not None
        assert overview.balance(overview.hands.here) == pytest.approx(left, abs=0.02)
        page.look(visible=False)
        opened.panel.refresh()
        assert list(islice(quiet_refreshes(page, opened.panel), 2)) == [0, 0]
        assert page.click("stop", id=session.id)["ok"]
        with pytest.raises(SessionNotFoundError):
            manager.get_session("00000000")


# A busy kernel


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_click_acts_while_a_cell_runs(local: Local) -> None:
    front_end = FrontEnd()
    try:
        shown = front_end.run(
            "import clouditia_jupyter\n"
            "opened = %clouditia panel\n"
            "print(clouditia_jupyter.panel() is opened)"
        )
        assert text_of(shown) == "True\n"
        (opening,) = [
            m["content"]
            for m in front_end.seen
            if m["msg_type"] == "comm_open" and "sessions" in m["content"]["data"]["state"]
        ]
        comm_id = opening["comm_id"]
        control, client = front_end.client.control_channel, front_end.client
        control.send(client.session.msg("create_subshell_request", {}))
        subshell = control.get_msg(timeout=60)["content"]["subshell_id"]

        def say(content: dict[str, Any]) -> None:
            data = {"comm_id": comm_id, "data": {"method": "custom", "content": content}}
            message = client.session.msg("comm_msg", data)
            message["header"]["subshell_id"] = subshell  # as JupyterLab sends it
            client.session.send(client.shell_channel.socket, message)

        def update(message: dict[str, Any], part: str, text: str) -> bool:
            content = message["content"]
            state = (content.get("data") or {}).get("state") or {}
            return content.get("comm_id") == comm_id and text in str(state.get(part))

        say({"do": "seen", "view": "v", "visible": True, "now": 0})
        cell = front_end.remote("input('go on? ')")
        front_end.question()  # now the cell cannot be over
        # what happens is shown, though nobody clicks: from the worker
        front_end.until(lambda m: update(m, "runs", "input('go on? ')"))
        session = json.loads(
            next(
                m["content"]["data"]["state"]["sessions"]
                for m in reversed(front_end.seen)
                if "sessions" in ((m["content"].get("data") or {}).get("state") or {})
            )
        )[0]
        say({"do": "rename", "call": "c", "id": session["id"], "name": "renamed meanwhile"})
        front_end.until(lambda m: update(m, "sessions", "renamed meanwhile"))
        client.input("yes")
        front_end.until_idle(cell)
    finally:
        front_end.close()


def test_a_worker_that_is_busy_says_so() -> None:
    worker = Worker(None, look=lambda: None, pause=lambda: None)
    gate = threading.Event()
    worker.do(gate.wait)
    with pytest.raises(WaitTimeoutError, match="busy with an earlier request"):
        worker.ask(lambda: None, 0.01)
    gate.set()
    assert worker.ask(lambda: "done", 20) == "done"
    worker.close(1.0)
