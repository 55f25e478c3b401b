"""The state folder."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import pytest

from clouditia_jupyter.errors import ConfigurationError
from clouditia_jupyter.platform.state import StateFolder


def test_one_at_a_time(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as first:
        first.announce({"pid": 1})
        with pytest.raises(ConfigurationError, match="already serves"):
            StateFolder(tmp_path).__enter__()
    with StateFolder(tmp_path):
        pass


def test_one_that_is_ending_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ending = StateFolder(tmp_path).__enter__()
    ending.announce({"pid": 1})
    ending.withdraw()
    monkeypatch.setattr(time, "sleep", lambda _seconds: ending.__exit__(None, None, None))
    with StateFolder(tmp_path) as next_one:
        next_one.announce({"pid": 2})
        assert json.loads((tmp_path / "platform.json").read_text()) == {"pid": 2}


def test_one_that_never_gets_to_answer_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clouditia_jupyter.platform.state._TURNOVER", 0.0)
    with StateFolder(tmp_path), pytest.raises(ConfigurationError, match=str(os.getpid())):
        StateFolder(tmp_path).__enter__()


def test_who_does_not_hold_the_lock_withdraws_nothing(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as first:
        first.announce({"pid": 1})
        other = StateFolder(tmp_path)
        with pytest.raises(ConfigurationError):
            other.__enter__()
        other.withdraw()
        assert json.loads((tmp_path / "platform.json").read_text()) == {"pid": 1}
    assert not (tmp_path / "platform.json").exists()


def test_the_key_is_made_once_for_its_user_alone(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    key = state.account_key()
    assert state.account_key() == key
    assert stat.S_IMODE((tmp_path / "account.key").stat().st_mode) == 0o600
    assert len({key, StateFolder(tmp_path).account_key()}) == 1


@pytest.mark.parametrize("text", ["", "nonsense", "sk_live_x", "sk_compute_"])
def test_a_spoilt_key_file_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "account.key").write_text(text)
    with pytest.raises(ConfigurationError, match="remove it"):
        StateFolder(tmp_path).account_key()
    assert (tmp_path / "account.key").read_text() == text


def test_an_announcement_is_whole_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with StateFolder(tmp_path) as state:
        state.announce({"pid": 1})
        state.announce({"pid": 2})
        assert json.loads((tmp_path / "platform.json").read_text()) == {"pid": 2}
        assert sorted(item.name for item in tmp_path.iterdir()) == [
            "platform.json",
            "platform.lock",
        ]
