"""Variables to a session and back, in a notebook's own words, over both paths."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from IPython.core.error import UsageError

from clouditia_jupyter.errors import ValueTransferError
from tests.notebook.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.notebook.conftest import Local, Shell

pytestmark = pytest.mark.both_paths


@pytest.fixture
def remote(local: Local) -> Iterator[Shell]:
    """Return a shell with a session."""
    shell, _ = local
    shell.run("%clouditia create --gpu nvidia-rtx-3060ti --name lab --ram 4")
    yield shell


def in_session(shell: Shell, code: str, line: str = "") -> Any:
    return shell.run(f"%%clouditia_run {line}\n{code}")


def test_push_and_pull(remote: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    remote.run("import numpy as np\nimport pandas as pd\na, b = 1, np.arange(3)")
    remote.run("frame = pd.DataFrame({'t': pd.date_range('2024', periods=3, tz='UTC')})")
    remote.run("%clouditia push a,b,twice=a + 1, frame --session lab")
    assert "Sent a, b, twice, frame to lab (" in capsys.readouterr().out
    in_session(remote, "c = frame.assign(n=b)\nd = (a, {twice}, b)\nrest = 'x' * 10")
    remote.run("%clouditia pull c,e=d")
    assert "Brought c, e from lab (" in capsys.readouterr().out
    pd.testing.assert_frame_equal(
        remote.names["c"], remote.names["frame"].assign(n=remote.names["b"])
    )
    first, second, third = remote.names["e"]
    assert (first, second) == (1, {2})
    np.testing.assert_array_equal(third, np.arange(3))
    assert "d" not in remote.names


def test_all_or_none(remote: Shell) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    remote.ip.user_ns.update(good=1, bad=Bad(), kept="before")
    with pytest.raises(ValueTransferError, match="no number"):
        in_session(remote, "never = 1", "-i good,bad")
    in_session(remote, "seen = [n in globals() for n in ('good', 'never')]", "-o seen")
    assert remote.names["seen"] == [False, False]
    with pytest.raises(ValueTransferError, match="Near names: seen"):
        remote.run("%clouditia pull kept=seen,see")
    assert remote.names["kept"] == "before"
    with pytest.raises(UsageError, match="perhaps you mean good"):
        remote.run("%clouditia push goood")
    with pytest.raises(UsageError, match="is no name"):
        remote.run("%clouditia pull a=b+1")


def test_nothing_is_unpickled_unasked(remote: Shell) -> None:
    trap = "class Trap:\n    def __reduce__(self): return exec, ('import os; os.sprung = 1',)\n"
    in_session(remote, trap + "trap = Trap()\nnested = [{'deep': Trap()}]\nplain = 1")
    for name in ("trap", "nested", "plain,trap"):
        with pytest.raises(ValueTransferError, match=r"to_numpy.*--trust-pickle"):
            remote.run(f"%clouditia pull {name}")
        with pytest.raises(ValueTransferError, match=r"to_numpy.*--trust-pickle"):
            in_session(remote, "1", f"-o {name}")
    assert not hasattr(os, "sprung")
    assert "plain" not in remote.names
    try:
        in_session(remote, "1", "-o trap --trust-pickle")
        assert hasattr(os, "sprung")
    finally:
        vars(os).pop("sprung", None)
    remote.run("%clouditia pull nested --trust-pickle")
    assert vars(os).pop("sprung")


def test_what_a_notebook_makes_goes_up(remote: Shell) -> None:
    remote.run(
        "import math\nfactor = 2\n"
        "def scaled(x): return factor * math.sqrt(x)\n"
        "class Model:\n    def __init__(self, weights): self.weights = weights\n"
        "    def fit(self): return scaled(self.weights.sum())\n"
        "model = Model(np.full(4, 4.0)) if 'np' in globals() else None\n"
        "import numpy as np\nmodel = Model(np.full(4, 4.0))"
    )
    in_session(remote, "found = model.fit()", "-i model -o found")
    assert remote.names["found"] == 8.0


def test_a_function_is_at_home_among_the_session_s_names(remote: Shell) -> None:
    remote.run("rate, unit = 2, 'here'\ndef scaled(x): return x * rate, unit, base")
    in_session(remote, "unit, base = 'there', 7\nfound = scaled(3)", "-i scaled -o found")
    assert remote.names["found"] == (6, "there", 7)  # what it brought, and what was there
    in_session(remote, "found = scaled(3), rate, __builtins__.len is len", "-o found")
    assert remote.names["found"] == ((6, "there", 7), 2, True)
    remote.run("rate, unit = 5, 'elsewhere'")
    in_session(remote, "found = scaled(3)", "-i scaled -o found")
    assert remote.names["found"] == (15, "there", 7)  # what it had brought comes anew
    in_session(remote, "rate = 10\nfound = scaled(3)", "-o found")
    assert remote.names["found"] == (30, "there", 7)
    in_session(remote, "found = scaled(3)", "-i scaled -o found")
    assert remote.names["found"] == (30, "there", 7)  # the session's own stays


def test_a_function_that_does_not_arrive_brings_nothing(remote: Shell) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    remote.ip.user_ns["bad"] = Bad()
    remote.run("brought = 1\ndef brings(): return brought")
    with pytest.raises(ValueTransferError, match="no number"):
        remote.run("%clouditia push brings,bad")
    in_session(remote, "seen = 'brought' in globals()", "-o seen")
    assert remote.names["seen"] is False


@pytest.mark.slow
def test_fifty_megabytes(remote: Shell) -> None:
    array = np.random.default_rng(1).random(6_250_000)
    remote.ip.user_ns["array"] = array
    in_session(remote, "array[0] = -1\ntotal = float(array.sum())", "-i array -o total,back=array")
    assert remote.names["total"] == remote.names["back"].sum()
    np.testing.assert_array_equal(remote.names["back"][1:], array[1:])
    assert remote.names["back"][0] == -1
    assert array[0] != -1


def test_values_wait_for_the_cell_in_the_background(remote: Shell) -> None:
    remote.ip.user_ns["later"] = 5
    # the push below waits behind this
    in_session(remote, "import time\ntime.sleep(0.5)\nlater = 'overwritten'", "--bg")
    in_session(remote, "seen = later", "-i later -o seen")
    assert remote.names["seen"] == 5


def test_what_a_run_in_the_background_takes_along_is_there_in_its_turn(remote: Shell) -> None:
    with Gate() as gate:
        in_session(remote, f"rate = 1\n{gate.code}", "--bg")
        in_session(remote, "early = rate", "--bg")
        remote.ip.user_ns["rate"] = 2
        # none of them waits for the first one
        in_session(remote, "late = rate", "--bg -i rate")
        remote.ip.user_ns["rate"] = 3
        in_session(remote, "last = rate", "--bg -i rate")
        assert list(remote.run("%clouditia runs")["status"])[:3] == ["queued"] * 3
    in_session(remote, "", "-o early,late,last")
    assert [remote.names[name] for name in ("early", "late", "last")] == [1, 2, 3]


def test_a_run_in_the_background_whose_values_are_refused(
    remote: Shell, capsys: pytest.CaptureFixture[str]
) -> None:
    class Bad:
        def __reduce__(self) -> Any:
            return int, ("no number",)

    remote.ip.user_ns["bad"] = Bad()
    in_session(remote, "print('ran')", "--bg -i bad")
    capsys.readouterr()
    with pytest.raises(ValueTransferError, match="no number"):
        remote.run("%clouditia attach")
    assert capsys.readouterr().out == ""
    assert list(remote.run("%clouditia runs")["status"]) == ["error"]


def test_an_interrupt_leaves_no_half_value(remote: Shell) -> None:
    remote.ip.user_ns["late"] = np.arange(500_000)
    in_session(remote, "late = 'before'")
    in_session(remote, "import time\ntime.sleep(600)", "--bg")
    interrupted = threading.Timer(0.5, os.kill, (os.getpid(), 2))
    interrupted.start()
    with pytest.raises(KeyboardInterrupt):
        remote.run("%clouditia push late")
    run_id = remote.run("%clouditia runs").sort_values("started").index[-1]
    remote.run(f"%clouditia cancel {run_id}")
    in_session(remote, "seen = str(late)", "-o seen")
    assert remote.names["seen"] == "before"
