"""Joining neighbouring stream texts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouditia_jupyter.platform.pod.run import coalesce


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
