"""What a cell and its session cost, reckoned without asking: the footer and --max-cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
from IPython.core.error import UsageError

from clouditia_jupyter import errors
from clouditia_jupyter.models import GPUSession
from clouditia_jupyter.notebook import meter as meter_module
from clouditia_jupyter.notebook.meter import Meter
from clouditia_jupyter.notebook.parsing import parse_run
from clouditia_jupyter.notebook.wording import spent
from tests.notebook.conftest import manager_for

if TYPE_CHECKING:
    from tests.conftest import StartPlatform
    from tests.notebook.conftest import Local, Shell

Capture = pytest.CaptureFixture[str]


def session(**more: Any) -> GPUSession:
    return GPUSession.from_wire({"id": "0e4c713a", "gpu_type": "nvidia-rtx-3090", **more})


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return this machine's time, to be set."""
    now = [1_000_000.0]
    monkeypatch.setattr(meter_module.time, "time", lambda: now[0])
    return now


def test_a_session_goes_on_costing_from_what_was_last_heard(clock: list[float]) -> None:
    meter = Meter.of_session(session(hourly_rate=3.6, cost=1.5))
    assert meter.cost_of(1000) == pytest.approx(1.0)
    assert meter.so_far() == pytest.approx(1.5)
    clock[0] += 500
    assert meter.so_far() == pytest.approx(2.0)
    clock[0] -= 10_000  # this machine's clock was set back
    assert meter.so_far() == pytest.approx(1.5)


def test_a_simulated_clock_costs_as_fast_as_it_runs(clock: list[float]) -> None:
    meter = Meter.of_session(session(hourly_rate=3.6, cost=0.0, clock_rate=60))
    clock[0] += 10
    assert meter.so_far() == pytest.approx(0.6)
    assert meter.cost_of(10) == pytest.approx(0.6)
    assert meter.seconds_for(0.6) == pytest.approx(10)


def test_a_price_that_is_not_known_or_nothing() -> None:
    unknown, free = Meter.of_session(session()), Meter.of_session(session(hourly_rate=0, cost=0))
    assert (unknown.cost_of(1), unknown.so_far()) == (None, None)
    with pytest.raises(errors.UnsupportedError, match="use --timeout"):
        unknown.seconds_for(1)
    assert free.seconds_for(1) == float("inf")
    assert spent(session(), unknown, 1.234) == "1.23 s · nvidia-rtx-3090"


def test_the_footer_says_time_gpu_and_both_costs(clock: list[float]) -> None:
    dear = session(hourly_rate=36, cost=1)
    line = spent(dear, Meter.of_session(dear), 100)
    assert line == "1m 40s · nvidia-rtx-3090 · 1.00 EUR · 1.00 EUR so far"


@pytest.mark.parametrize("given", ["0", "-1", "nan", "inf", "much", "''"])
def test_a_cost_limit_is_an_amount_above_nothing(given: str) -> None:
    with pytest.raises(UsageError, match=r"--max-cost: must be (above 0|a number of EUR)"):
        parse_run(f"--max-cost {given}")


def run(shell: Shell, code: str, line: str = "") -> None:
    shell.run(f"%%clouditia_run {line}\n{code}")


@pytest.mark.both_paths
def test_a_cell_that_has_cost_too_much_is_interrupted(local: Local, capsys: Capture) -> None:
    shell, _ = local
    shell.run("%clouditia create --gpu nvidia-rtx-3060ti --name dear")
    with pytest.raises(errors.WaitTimeoutError) as caught:
        run(
            shell,
            "kept = 1\nimport time\ntry:\n    time.sleep(600)\nfinally:\n    print('cleaned up')",
            "--max-cost 0.0001 --timeout 1h",
        )
    said = str(caught.value)
    assert "has cost 0.0001 EUR, so it was interrupted" in said
    assert "dear" in said
    assert "runs on and bills" in said
    assert "cleaned up" in capsys.readouterr().out
    run(shell, "print(kept)", "--max-cost 5000000000000")
    assert capsys.readouterr().out == "1\n"


@pytest.mark.both_paths
def test_the_footer_agrees_with_the_bill_and_asks_nobody(
    local: Local, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    shell, manager = local
    monkeypatch.setattr("clouditia_jupyter.notebook.runner.can_ask", lambda _shell: True)
    shell.run("%clouditia create --gpu nvidia-rtx-3060ti --name footed")
    run(shell, "1")
    (made,) = manager.list_sessions(status="running")

    sent: list[str] = []
    send = httpx.Client.send

    def counted(self: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
        sent.append(str(request.url))
        return send(self, request, **options)

    monkeypatch.setattr(httpx.Client, "send", counted)
    capsys.readouterr()
    before = manager.get_session_cost(made)["cost"]
    sent.clear()
    run(shell, "import time; time.sleep(0.5)")
    monkeypatch.setattr(httpx.Client, "send", send)
    after = manager.get_session_cost(made)["cost"]
    assert [url for url in sent if "/computing/" in url] == []
    *_, line = capsys.readouterr().out.splitlines()
    cell, so_far = (float(part.split()[0]) for part in line.split(" · ")[2:])
    assert so_far == pytest.approx(after, abs=0.0002)
    assert 0 < cell <= after - before + 0.0001


def test_a_simulated_platform_says_how_fast_it_bills(
    start_platform: StartPlatform, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = start_platform("--clock-rate", "3600")
    monkeypatch.setenv("CLOUDITIA_STATE", str(platform.state))
    shell.run("%clouditia create --gpu nvidia-rtx-3060ti --name fast")
    with pytest.raises(errors.WaitTimeoutError, match=r"has cost 0\.20 EUR"):
        run(shell, "import time; time.sleep(600)", "--max-cost 0.2")
    frame = shell.run("%clouditia runs")
    assert frame["euros"].iloc[0] >= 0.15
    service = shell.ip.magics_manager.registry["ClouditiaMagics"]._parts()[0].connection.service
    with manager_for(service) as manager:
        (made,) = manager.list_sessions(status="running")
        assert made.clock_rate == 3600
        assert made.cost is not None
        assert made.cost >= frame["euros"].iloc[0]
