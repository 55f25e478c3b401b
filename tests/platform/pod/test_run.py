"""A run without a kernel: how it ends, and how neighbouring stream texts are joined."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouditia_jupyter.platform.pod.message import FAILURE, Message
from clouditia_jupyter.platform.pod.run import Run, coalesce


def _spaced(content: object) -> bytes:
    return json.dumps(content).encode()


def _compact(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


@pytest.mark.parametrize("encode", [_spaced, _compact])
def test_neighbours_of_one_stream_become_one_event(encode: object) -> None:
    assert callable(encode)
    texts = [
        ("stdout", 'a"\n'),
        ("stdout", "b\\"),
        ("stderr", "c"),
        ("stdout", "d"),
        ("stdout", "é"),
    ]
    events = [("stream", encode({"name": name, "text": text})) for name, text in texts]
    joined = [json.loads(content) for _, content in coalesce(events)]
    assert joined == [
        {"name": "stdout", "text": 'a"\nb\\'},
        {"name": "stderr", "text": "c"},
        {"name": "stdout", "text": "dé"},
    ]


def test_an_output_in_between_keeps_its_place() -> None:
    stream = _spaced({"name": "stdout", "text": "x"})
    events = [("stream", stream), ("display_data", b"{}"), ("stream", stream)]
    assert coalesce(events) == events


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["stdout", "stderr", "display"]),
            st.text(),
            st.sampled_from([True, False]),
        )
    )
)
def test_no_text_is_lost_or_moved(parts: list[tuple[str, str, bool]]) -> None:
    events = []
    for name, text, spaced in parts:
        content = {"name": name, "text": text}
        kind = "display_data" if name == "display" else "stream"
        events.append((kind, (_spaced if spaced else _compact)(content)))
    told: list[tuple[str, str]] = []
    for name, text, _ in parts:
        if told and name != "display" and told[-1][0] == name:
            told[-1] = (name, told[-1][1] + text)
        else:
            told.append((name, text))
    read: list[tuple[str, str]] = []
    for _, raw in coalesce(events):
        content = json.loads(raw)
        if read and content["name"] != "display" and read[-1][0] == content["name"]:
            # two spellings of JSON stay two events
            read[-1] = (content["name"], read[-1][1] + content["text"])
        else:
            read.append((content["name"], content["text"]))
    assert read == told


def said(kind: str, **content: object) -> Message:
    return Message("iopub", kind, "run-12345678", json.dumps(content).encode(), b"{}", [], "s")


@pytest.mark.anyio
@pytest.mark.parametrize("failed", [True, False])
def test_a_run_that_an_interrupt_cut_off_has_one_error(tmp_path: Path, failed: bool) -> None:
    run = Run("run-12345678", "1 / 0", tmp_path)
    run.begin([])
    own = [
        said(FAILURE),
        said("error", ename="ZeroDivisionError", evalue="division", traceback=["there"]),
    ]
    run.take([*(own if failed else []), said("status", execution_state="idle")])
    assert run.unanswered
    run.give_up()
    lines = (tmp_path / "run-12345678.ndjson").read_text().splitlines()
    error, done = (json.loads(line) for line in lines)
    ename = "ZeroDivisionError" if failed else "KeyboardInterrupt"
    assert (error["type"], error["content"]["ename"]) == ("error", ename)
    assert done["content"]["status"] == "error"
    if failed:
        assert done["content"]["ename"] == ename
