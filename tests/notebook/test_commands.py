"""Every command against a real platform."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from IPython.core.error import UsageError

from clouditia_jupyter import errors
from clouditia_jupyter.models import GPUSession

if TYPE_CHECKING:
    from clouditia_jupyter import GPUManager
    from tests.notebook.conftest import Local, Shell

Capture = pytest.CaptureFixture[str]


def made(manager: GPUManager, name: str) -> GPUSession:
    session = manager.create_session("nvidia-rtx-3060ti", verbose=False)
    assert isinstance(session, GPUSession)
    return manager.rename_session(session, name)


def connection_of(shell: Shell) -> Any:
    return shell.ip.magics_manager.registry["ClouditiaMagics"]._parts()[0].connection


def test_status_says_where_who_and_what(local: Local, capsys: Capture) -> None:
    shell, manager = local
    assert shell.run("%clouditia") is None
    out = capsys.readouterr().out
    assert "this machine" in out
    assert manager.user["username"] in out
    assert "%clouditia create" in out
    session = made(manager, "busy")
    shell.run("%clouditia status")
    out = capsys.readouterr().out
    assert f"busy ({session.short_id}): running, nvidia-rtx-3060ti" in out
    assert "per hour" in out


def test_inventory_is_a_table(local: Local) -> None:
    shell, _ = local
    shell.run("df = %clouditia inventory")
    frame = shell.names["df"]
    assert frame.index.name == "gpu_type"
    assert "nvidia-rtx-3090" in frame.index
    assert (frame["price_per_hour"] > 0).all()


def test_create_shows_steps_then_a_summary_and_becomes_current(
    local: Local, capsys: Capture
) -> None:
    shell, manager = local
    result = shell.run(
        "n = 1\n%clouditia create --gpu nvidia-rtx-3090=$n --name train --vcpu 1 --ram 2 "
        "--storage 3 --cost-limit {n + 4} --duration-limit 2h"
    )
    assert result is None
    (session,) = manager.list_sessions(status="running")
    out = capsys.readouterr().out
    assert out.count("Creating ") >= 2
    assert "starting the kernel" in out
    assert f"train ({session.short_id}) is ready after" in out
    assert "1 vCPU, 2 GB memory, 3 GB disk" in out
    assert "5.00 EUR or 2h 0m 0s" in out
    assert session.password not in out
    assert "sk_" not in out
    assert connection_of(shell).current == session.id
    assert (session.vcpu, session.cost_limit, session.duration_limit) == (1, 5.0, 7200)


@pytest.mark.parametrize(
    ("line", "error", "says"),
    [
        ("create --gpu nvidia-rtx-3091", errors.InvalidRequestError, "nvidia-rtx-3090"),
        ("create --gpu nvidia-rtx-3090=99", errors.InvalidRequestError, "99"),
        ("create", UsageError, "--gpu SLUG"),
        ("create --gpu a --gpu b --count 2", UsageError, "SLUG=COUNT"),
        ("use nothing-like-it", errors.SessionNotFoundError, "%clouditia sessions"),
        ("show", errors.SessionNotFoundError, "%clouditia create --gpu"),
        ("stop", errors.SessionNotFoundError, "%clouditia create --gpu"),
        ("stop a --all", UsageError, "not both"),
        ("rename ''", UsageError, "must not be empty"),
        ("rename a b c", UsageError, "one new name"),
        ("queue show", UsageError, "needs the id of a ticket"),
        ("queue cancel zz", errors.QueueJobNotFoundError, "%clouditia queue"),
    ],
)
def test_bad_input_changes_nothing(
    local: Local, line: str, error: type[Exception], says: str
) -> None:
    shell, manager = local
    before = [session.id for session in manager.list_sessions()]
    with pytest.raises(error, match=says) as caught:
        shell.run(f"%clouditia {line}")
    assert type(caught.value) is error
    assert [session.id for session in manager.list_sessions()] == before


def test_gpus_that_are_taken_name_the_ways_out(local: Local, capsys: Capture) -> None:
    shell, manager = local
    free = {item.gpu_type: item.available for item in manager.get_inventory()}
    taken = manager.create_session(
        "nvidia-rtx-4090", gpu_count=free["nvidia-rtx-4090"], verbose=False
    )
    assert isinstance(taken, GPUSession)
    with pytest.raises(errors.InsufficientResourcesError, match="--queue"):
        shell.run("%clouditia create --gpu nvidia-rtx-4090")
    with pytest.raises(errors.InsufficientResourcesError, match="--partial goes on with"):
        shell.run("%clouditia create --gpu nvidia-rtx-4090 --gpu nvidia-rtx-3060ti")
    shell.run("%clouditia create --gpu nvidia-rtx-4090 --gpu nvidia-rtx-3060ti --partial")
    assert "without nvidia-rtx-4090" in capsys.readouterr().out

    shell.run("%clouditia create --gpu nvidia-rtx-4090 --queue")
    assert "Queued at place 1" in capsys.readouterr().out
    frame = shell.run("%clouditia queue --status pending")
    assert frame["gpus"].tolist() == ["1 x nvidia-rtx-4090"]
    ticket = frame.index[0]
    attempts = shell.run(f"%clouditia queue show {ticket[:8]}")
    assert isinstance(attempts, pd.DataFrame)
    shell.run(f"%clouditia queue cancel {ticket[:8]}")
    assert len(shell.run("%clouditia queue --status pending")) == 0


def test_use_show_rename_and_stop_by_any_name(local: Local, capsys: Capture) -> None:
    shell, manager = local
    first, second = made(manager, "first"), made(manager, "second")
    with pytest.raises(errors.SessionStateError, match=r"second.*first.*%clouditia use"):
        shell.run("%clouditia show")
    shell.run("%clouditia use sec")
    shell.run("%clouditia show")
    out = capsys.readouterr().out
    assert second.id in out
    assert manager.get_session(second).password not in out
    shell.run(f"%clouditia show {first.short_id}")
    assert first.id in capsys.readouterr().out
    shell.run("%clouditia rename other")
    shell.run(f"%clouditia rename {first.id[:13]} 'the first one'")
    assert {s.name for s in manager.list_sessions(status="running")} == {"other", "the first one"}

    capsys.readouterr()
    shell.run("%clouditia stop 'the first one'")
    out = capsys.readouterr().out
    assert "is stopped: it ran" in out
    assert "EUR" in out
    shell.run("%clouditia stop")
    assert manager.list_sessions(status="running") == []
    with pytest.raises(errors.SessionStateError, match="is stopped already"):
        shell.run("%clouditia stop other")
    with pytest.raises(errors.SessionStateError, match=r"is stopped \(user\).*%clouditia create"):
        shell.run("%clouditia use other")


def test_stopping_all_needs_a_yes_where_nobody_can_be_asked(local: Local) -> None:
    shell, manager = local
    made(manager, "a")
    made(manager, "b")
    with pytest.raises(UsageError, match="--yes"):
        shell.run("%clouditia stop --all")
    assert len(manager.list_sessions(status="running")) == 2
    shell.run("%clouditia stop --all --yes")
    assert manager.list_sessions(status="running") == []


def test_stop_asks_where_it_can(
    local: Local, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    shell, manager = local
    made(manager, "precious")
    answers = iter(["n", "y"])
    asked = []
    monkeypatch.setattr("clouditia_jupyter.notebook.lifecycle.can_ask", lambda _shell: True)
    monkeypatch.setattr("builtins.input", lambda text: asked.append(text) or next(answers))
    shell.run("%clouditia stop")
    assert "Nothing was stopped" in capsys.readouterr().out
    assert "precious" in asked[0]
    assert len(manager.list_sessions(status="running")) == 1
    shell.run("%clouditia stop")
    assert manager.list_sessions(status="running") == []


def test_costs_and_balance(local: Local) -> None:
    shell, manager = local
    session = made(manager, "paid")
    frame = shell.run("%clouditia costs --active")
    assert frame.index.tolist() == [session.id]
    assert frame.loc[session.id, "hourly_rate"] > 0
    assert shell.run("%clouditia costs paid").index.tolist() == [session.id]
    shell.run("%clouditia stop --yes")
    assert session.id in shell.run("%clouditia costs").index
    assert len(shell.run("%clouditia costs --active")) == 0
    balance = shell.run("%clouditia balance")
    assert 0 < balance <= 100
    assert repr(balance).endswith(" EUR")


def test_a_key_is_masked_unless_asked_for(local: Local, capsys: Capture) -> None:
    shell, manager = local
    made(manager, "keyed")
    assert shell.run("%clouditia key --to mine") is None
    key = shell.names["mine"]
    out = capsys.readouterr().out
    assert key.startswith("sk_live_")
    assert key not in out
    assert f"{key[:12]}…{key[-4:]}" in out
    shell.run("%clouditia key --show")
    assert "…" not in capsys.readouterr().out


def test_sessions_table_holds_every_session_and_no_secret(local: Local) -> None:
    shell, manager = local
    session = made(manager, "<b>bold</b>")
    frame = shell.run("%clouditia sessions --status running")
    assert frame.loc[session.id, "name"] == "<b>bold</b>"
    assert "<b>bold" not in frame.to_html()
    assert manager.get_session(session).password not in frame.to_csv()
    assert str(frame["created_at"].dtype) == "datetime64[ns, UTC]"
