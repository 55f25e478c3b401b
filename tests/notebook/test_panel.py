"""The control panel on a real platform: what it shows, and what its clicks do."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

import clouditia_jupyter
from clouditia_jupyter.client.transport import Transport
from clouditia_jupyter.errors import ConfigurationError
from tests.notebook.conftest import stop_all
from tests.notebook.panel_page import A, B, Opened, Page, form, quiet_refreshes

if TYPE_CHECKING:
    from tests.notebook.conftest import Shell

SCRIPT = "<img src=x onerror=alert(1)>"


def test_from_the_form_to_the_end(opened: Opened) -> None:
    page, manager = opened.page, opened.manager
    offer = {row["id"]: row for row in page.until("offer", bool)}
    assert offer[A]["price"] == 0.42
    assert (offer[A]["available"], offer[A]["total"]) == (2, 2)

    wish = form(A, name=SCRIPT, cost_limit=2, duration_limit=7200)
    assert page.click("create", form=wish)["ok"]
    made = page.until("creation", lambda now: now["state"] == "ready")
    assert f"{SCRIPT} (" in made["text"]
    assert made["done"] == len(made["steps"]) == 9
    states = creations(page)
    assert [s["state"] for s in states][:2] == ["asked", "making"]
    assert {s["done"] for s in states if s["state"] == "making"} != {9}

    (row,) = page.until("sessions", lambda rows: rows and rows[0]["current"])  # of the next cell
    assert (row["name"], row["status"]) == (SCRIPT, "running")
    assert (row["price"], row["cap"]) == (0.42, 2)
    assert row["limits"] == "2.00 EUR or 2h 0m 0s"
    opened.shell.run("%%clouditia_run\nx = 41")
    runs = page.until("runs", lambda rows: rows and rows[0]["status"] == "ok")
    assert runs[0]["line"] == "x = 41"
    # the text stays what it is: escaping is the page's, and the drawings carry no name
    assert SCRIPT not in json.dumps(page["charts"])

    assert page.click("rename", id=row["id"], name="study")["ok"]
    page.until("sessions", lambda rows: rows[0]["name"] == "study")
    opened.shell.run("%%clouditia_run --session study\nassert x == 41")

    answer = page.click("key", id=row["id"])
    with clouditia_jupyter.LiveSession(answer["secret"], starter_url(opened.shell)) as live:
        assert live.verify()["session_name"] == "study"
    # it went out once, in the answer, and is nowhere in what a notebook saves
    texts = [json.dumps(message) for message in page.sent]
    assert sum(answer["secret"] in text for text in texts) == 1
    assert answer["secret"] not in json.dumps(opened.panel.widget.get_state())

    assert page.click("stop", id=row["id"])["ok"]
    news = page.until("news", bool)
    assert news["text"].startswith("study (")
    assert "is stopped: it ran " in news["text"]
    cost = manager.get_session_cost(row["id"])
    assert f"it cost {cost['cost']:.4f} EUR." in news["text"] or cost["cost"] < 0.00005
    page.until("sessions", lambda rows: not rows)
    assert opened.shell.ip.magics_manager.registry["ClouditiaMagics"].connection().current is None


def creations(page: Page) -> list[dict[str, Any]]:
    """Return how the creation was shown, one after the other."""
    texts = [(m.get("state") or {}).get("creation") for m in page.sent]
    return [json.loads(text) for text in texts if text and text != "null"]


def starter_url(shell: Shell) -> str:
    connection = shell.ip.magics_manager.registry["ClouditiaMagics"].connection()
    return str(connection.service.editor_url)


def test_a_creation_that_is_cancelled_leaves_nothing_that_bills(opened: Opened) -> None:
    page = opened.page
    over = ("cancelled", "ready")
    for _ in range(20):
        page.begin("create", form=form(A, name="unwanted"))
        page.begin("cancel_creation")
        ended = page.until("creation", lambda now: now and now["state"] in over)
        if ended["state"] == "cancelled":
            break
        assert page.click("dismiss")["ok"]  # it was quicker: again
        page.until("creation", lambda now: now is None)
        stop_all(opened.manager)
    assert "does not bill" in ended["text"]
    assert all(s.status in ("stopped", "failed") for s in opened.manager.list_sessions())
    assert page.click("dismiss")["ok"]
    page.until("creation", lambda now: now is None)


def test_the_queue_shows_places_and_tries_and_can_be_left(opened: Opened) -> None:
    page, manager = opened.page, opened.manager
    first = manager.create_session(gpu_type=B, gpu_count=2, vcpu=1, ram=1, verbose=False)
    assert not isinstance(first, dict)

    # without the queue it is said where the click was, with what can be done
    page.click("create", form=form(B))
    failed = page["creation"]
    assert failed["state"] == "failed"
    assert f"Not available now: {B}" in failed["text"]
    assert "wait in the queue" in failed["text"]

    page.click("create", form=form(B, queue=True))
    queued = page.until("creation", lambda now: now["state"] == "queued")
    assert "Queued at place 1" in queued["text"]
    page.until("queue", lambda rows: rows and rows[0]["status"] == "pending")
    ticket = page["queue"][0]  # before those of others that have ended
    assert (ticket["position"], ticket["wants"]) == (1, f"1 x {B}")
    assert ticket["tries"] == len(ticket["attempts"]) > 0
    assert page.click("cancel_ticket", id=ticket["id"])["ok"]
    page.until(
        "queue", lambda rows: {r["id"]: r["status"] for r in rows}[ticket["id"]] == "cancelled"
    )
    page.until("creation", lambda now: now["state"] == "cancelled")

    # served as soon as there is room
    page.click("create", form=form(B, queue=True))
    page.until("creation", lambda now: now["state"] == "queued")
    manager.stop_session(first, verbose=False)
    page.until("creation", lambda now: now["state"] == "ready")
    assert [row["gpu"] for row in page["sessions"]] == ["NVIDIA RTX 3080 Ti (simulated)"]


def test_a_failure_is_the_answer_to_its_click(opened: Opened) -> None:
    page = opened.page
    answer = page.click("rename", id="00000000-0000-0000-0000-000000000000", name="x")
    assert answer["ok"] is False
    assert "No session has the id" in answer["text"]
    assert page.click("use", id="00000000-0000-0000-0000-000000000000")["ok"] is False
    assert page.click("nonsense")["ok"] is False
    assert page["trouble"] is None
    page.click("create", form=form("nvidia-none"))
    assert "There is no GPU type" in page["creation"]["text"]
    # what nobody has foreseen leaves the form free for the next one
    assert page.click("create", form=form(A, count=None))["ok"] is False
    assert page["creation"]["state"] == "failed"


def test_an_answer_that_cannot_be_read_is_said(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = opened.page
    page.until("account", bool)
    with monkeypatch.context() as patch:
        patch.setattr(Transport, "changed", lambda *_, **__: ("", {"sessions": [{}]}))
        assert page.click("refresh")["ok"] is False
        assert "cannot be read (KeyError: 'id')" in page["trouble"]["text"]
    assert page.click("refresh")["ok"]
    assert page["trouble"] is None


def test_pause_is_off_with_the_reason(opened: Opened) -> None:
    page = opened.page
    assert "cannot pause" in page.until("place", bool)["pause"]
    session = opened.manager.create_session(gpu_type=A, vcpu=1, ram=1, verbose=False)
    assert not isinstance(session, dict)
    answer = page.click("pause", id=session.id)
    assert (answer["ok"], "cannot pause" in answer["text"]) == (False, True)


def test_what_did_not_change_is_not_sent(opened: Opened) -> None:
    opened.manager.create_session(gpu_type=A, vcpu=1, ram=1, verbose=False)
    opened.page.until("sessions", lambda rows: rows and rows[0]["status"] == "running")
    # looks of its own would be counted too
    opened.page.look(visible=False)
    opened.panel.refresh()
    quiet = list(islice(quiet_refreshes(opened.page, opened.panel), 3))
    assert quiet == [0, 0, 0]
    assert opened.page["sessions"][0]["since"] is not None  # so the page lets its cost grow


def test_the_cost_that_grows_by_itself_is_the_bill(opened: Opened) -> None:
    session = opened.manager.create_session(gpu_type=A, vcpu=1, ram=1, verbose=False)
    assert not isinstance(session, dict)
    before = opened.manager.get_session_cost(session.id)["cost"]
    shown = opened.panel.costs.loc[session.id, "cost"]
    after = opened.manager.get_session_cost(session.id)["cost"]
    assert before - 1e-4 <= shown <= after + 1e-4
    left = opened.manager.get_balance()["balance"]
    overview = opened.panel._board.overview
    assert overview is not None
    assert overview.balance(overview.hands.here) == pytest.approx(left, abs=1e-3)


def test_nobody_looks_when_nobody_can_see_it(opened: Opened) -> None:
    opened.page.until("account", bool)
    assert opened.panel._pause() is not None
    opened.page.look(visible=False)
    assert opened.panel._pause() is None
    opened.panel.refresh()  # whatever look was under way is over
    opened.manager.create_session(gpu_type=A, vcpu=1, ram=1, verbose=False)
    assert opened.page["sessions"] == []
    opened.page.look()
    opened.page.until("sessions", lambda rows: len(rows) == 1)


def test_tables_are_data_frames(opened: Opened) -> None:
    opened.manager.create_session(gpu_type=A, vcpu=1, ram=1, verbose=False)
    opened.page.look(visible=False)
    shown = opened.panel
    assert shown.sessions.iloc[0]["gpu_type"] == A
    assert shown.inventory.loc[A, "in_use"] == 1
    assert shown.costs.iloc[0]["status"] == "running"
    assert list(shown.queue.columns)[:2] == ["position", "status"]
    assert "first_line" in shown.runs.columns
    answer = opened.page.click("frame", part="costs")
    assert "clouditia_costs" in answer["text"]
    assert isinstance(opened.shell.names["clouditia_costs"], pd.DataFrame)


def test_there_is_one_panel_until_it_is_closed(opened: Opened) -> None:
    shell = opened.shell
    assert shell.run("%clouditia panel") is opened.panel
    opened.panel.close()
    assert not opened.panel._worker._thread.is_alive()
    with pytest.raises(ConfigurationError, match="closed"):
        opened.panel.refresh()
    again = shell.run("%clouditia panel")
    assert again is not opened.panel
    shell.run("%unload_ext clouditia_jupyter")
    assert not again.is_open


def test_elsewhere_it_shows_as_text(opened: Opened) -> None:
    opened.page.until("account", bool)
    data, _ = opened.panel._repr_mimebundle_()
    assert data["text/plain"].startswith("Control panel: no session bills, ")
    assert "application/vnd.jupyter.widget-view+json" in data


def test_outside_of_a_notebook_it_says_so() -> None:
    code = "import clouditia_jupyter\nclouditia_jupyter.panel()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ConfigurationError: The control panel needs a notebook" in done.stderr


def test_a_session_that_ends_elsewhere_is_told(opened: Opened) -> None:
    session = opened.manager.create_session(gpu_type=A, vcpu=1, ram=1, verbose=False)
    assert not isinstance(session, dict)
    opened.page.until("sessions", bool)
    opened.manager.stop_session(session, verbose=False)
    assert session.short_id in opened.page.until("news", bool)["text"]


def test_parts_of_the_panel_load_when_it_is_opened() -> None:
    code = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'clouditia_jupyter')\n"
        "import clouditia_jupyter.notebook.actions\n"
        "print('anywidget' in sys.modules, 'ipywidgets' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
