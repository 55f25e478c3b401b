"""What is kept of the runs of ended sessions, in folders that a pod may have left in mid-write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clouditia_jupyter.errors import JobNotFoundError
from clouditia_jupyter.platform import kept
from tests.platform.test_errors import assert_envelope
from tests.running import RunningPlatform

RUN = "run-12345678"
VIEW = "application/vnd.jupyter.widget-view+json"


def event(seq: int, kind: str, **content: object) -> dict[str, object]:
    return {"seq": seq, "type": kind, "content": content}


def leave(folder: Path, name: str, *lines: object, cut: str = "") -> None:
    (folder / "runs").mkdir(exist_ok=True)
    text = "".join(json.dumps(line) + "\n" for line in lines) + cut
    (folder / "runs" / name).write_text(text)


def events(folder: Path, after: int = 0) -> list[dict[str, object]]:
    lines = b"".join(kept.events(folder, RUN, after)).splitlines()
    return [json.loads(line) for line in lines]


def test_what_was_noted_last_of_a_run_counts(tmp_path: Path) -> None:
    one = {"run_id": "one", "status": "running", "started_at": 1.0, "seconds": None}
    two = {**one, "run_id": "two"}
    ended = {**one, "status": "ok", "seconds": 2.0}
    leave(tmp_path, "history.ndjson", one, two, ended, cut='{"run_id": "two", "sta')
    assert kept.runs(tmp_path) == [{**two, "status": "lost"}, ended]
    assert kept.runs(tmp_path / "removed") == []


def test_a_whole_log_comes_as_it_is_less_what_lives_only_with_a_session(tmp_path: Path) -> None:
    view = {VIEW: {"model_id": "m"}, "text/plain": "IntSlider()"}
    put_out = [
        event(1, "stream", name="stdout", text="a\n"),
        event(2, "comm_open", comm_id="m"),
        event(3, "display_data", data=view, metadata={}),
        event(4, "input_request", prompt="?"),
        event(5, "done", status="ok"),
    ]
    leave(tmp_path, f"{RUN}.ndjson", *put_out)
    shown = [
        put_out[0],
        event(3, "display_data", data={"text/plain": "IntSlider()"}, metadata={}),
        put_out[4],
    ]
    assert events(tmp_path) == shown
    assert events(tmp_path, after=1) == shown[1:]
    assert events(tmp_path, after=5) == []


@pytest.mark.parametrize("cut", ["", '{"seq": 2, "type": "stream", "cont', "[]\n", "\0\0\n"])
def test_a_log_that_was_cut_ends_as_lost(tmp_path: Path, cut: str) -> None:
    first = event(1, "stream", name="stdout", text="a\n")
    leave(tmp_path, f"{RUN}.ndjson", first, cut=cut)
    said, error, done = events(tmp_path)
    assert said == first
    assert (error["seq"], error["type"], done["seq"], done["type"]) == (2, "error", 3, "done")
    assert error["content"]["ename"] == "SessionLostError"
    assert done["content"]["status"] == "lost"
    assert events(tmp_path, after=2) == [done]


def test_an_event_that_only_lacks_its_line_end_is_whole(tmp_path: Path) -> None:
    first = event(1, "stream", name="stdout", text="a\n")
    leave(tmp_path, f"{RUN}.ndjson", cut=json.dumps(first))
    assert [said["type"] for said in events(tmp_path)] == ["stream", "error", "done"]


def test_a_long_log_comes_in_chunks(tmp_path: Path) -> None:
    lines = [event(n, "stream", name="stdout", text="x" * 1000) for n in range(1, 1001)]
    leave(tmp_path, f"{RUN}.ndjson", *lines, event(1001, "done", status="ok"))
    assert max(map(len, kept.events(tmp_path, RUN, 0))) < 70_000
    assert events(tmp_path)[:-1] == lines


@pytest.mark.parametrize("name", ["no-such-run", "../runs/run-12345678", "", "history"])
def test_what_is_not_kept_is_said(tmp_path: Path, name: str) -> None:
    leave(tmp_path, f"{RUN}.ndjson", event(1, "done", status="ok"))
    leave(tmp_path, "history.ndjson", {})
    with pytest.raises(JobNotFoundError, match="is not kept"):
        kept.events(tmp_path, name, 0)


def test_a_session_that_runs_is_asked_itself(platform: RunningPlatform) -> None:
    session = platform.create(gpu_type="nvidia-rtx-3060ti")
    path = f"sessions/{session['id']}/runs/{RUN}/events/"
    said = assert_envelope(platform.computing.get(path), 400, "session_state")
    assert "has not ended" in said
    missing = platform.computing.get(f"sessions/no-such/runs/{RUN}/events/")
    assert_envelope(missing, 404, "session_not_found")
