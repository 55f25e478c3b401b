"""The event stream over a real socket: nothing lost, nothing twice, however it breaks."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clouditia_jupyter.client.events import RESUME_PAUSES, EventStream, LineBuffer, decode_event
from clouditia_jupyter.client.live import LiveSession
from clouditia_jupyter.errors import APIError, ConnectionFailedError, JobNotFoundError

KEY = "sk_live_0123456789abcdef"


@pytest.fixture
def live(pod, clock):
    with LiveSession(KEY, pod.url, clock=clock) as session:
        yield session


def texts(events):
    return [event.content["text"] for event in events if event.type == "stream"]


@given(st.lists(st.binary(max_size=6).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.data())
def test_lines_come_out_whole_however_they_are_cut(lines, data):
    stream = b"".join(line + b"\n" for line in lines)
    buffer, got = LineBuffer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += buffer.feed(stream[:size])
        stream = stream[size:]
    assert got == lines


def test_a_line_that_is_no_event_is_refused():
    for line in (b"{", b"[]", b'{"seq": 1}'):
        with pytest.raises(APIError, match="no event"):
            decode_event(line)


def test_whose_event_it_is_is_always_a_text():
    event = decode_event(b'{"seq":1,"type":"idle","content":{},"parent":{},"kernel":[1]}')
    assert {event.parent, event.kernel} == {"{}", "[1]"}


@pytest.mark.parametrize(
    "line",
    [
        b'{"seq": "1", "type": "done", "content": {}}',
        b'{"seq": 1, "type": ["done"], "content": {}}',
        b'{"seq": 1, "type": "stream", "content": "text"}',
        b"[" * 1_000_000,
    ],
)
def test_an_event_of_other_types_is_none(line):
    with pytest.raises(APIError, match="no event"):
        decode_event(line)


def test_a_line_without_end_is_not_taken_for_ever(monkeypatch):
    monkeypatch.setattr("clouditia_jupyter.client.events._LONGEST_LINE", 1000)
    buffer = LineBuffer()
    for _ in range(5):
        buffer.feed(b"x" * 200)
        buffer.feed(b"x" * 200 + b"\n")
    with pytest.raises(APIError, match="without end"):
        for _ in range(10):
            buffer.feed(b"x" * 200)


def test_one_round_trip_a_run_on_one_connection(pod, live):
    pod.prints("a", "b")
    live.verify()
    del pod.requests[:]
    for _ in range(3):
        events = list(live.start("code"))
        assert [event.seq for event in events] == [1, 2, 3]
        assert events[-1].type == "done"
    assert pod.requests == ["POST /api/runs/"] * 3


@pytest.mark.parametrize("fault", [0, 1, 2, 3, "cut-half", "503", "refuse", "beat"])
def test_a_broken_stream_goes_on_where_it_broke(pod, live, fault):
    pod.prints("a", "b", "c")
    pod.faults = [fault, fault]
    assert texts(live.start("code")) == ["a", "b", "c"]
    assert len(pod.started) == 1


def test_a_run_is_posted_again_under_its_id_only_until_it_is_answered(pod, live):
    pod.prints("a", "b")
    pod.faults = ["refuse", 1]
    stream = live.start("code")
    assert texts(stream) == ["a", "b"]
    run = stream.run_id
    submitted = [sent["run_id"] for sent in pod.sent]
    assert submitted == [run, run]
    assert pod.requests[-1] == f"GET /api/runs/{run}/events/?after=1"


def test_events_sent_twice_are_delivered_once(pod, live):
    pod.prints("a", "b")
    pod.events.insert(1, pod.events[0])
    assert texts(live.start("code")) == ["a", "b"]


def test_a_stream_that_stays_broken_names_the_run_and_the_way_back(pod, live, clock):
    pod.prints("a", "b")
    pod.faults = [1, *["503"] * 20]
    stream = live.start("code")
    assert next(stream).content["text"] == "a"
    with pytest.raises(ConnectionFailedError) as caught:
        next(stream)
    assert f"attach('{stream.run_id}', after=1)" in str(caught.value)
    assert clock.slept == list(RESUME_PAUSES)
    pod.faults = []
    assert texts(stream) == ["b"]  # and the same object goes on once the service is back


def test_patience_starts_anew_with_each_sign_of_life(pod, live, clock):
    pod.prints("a")
    pod.faults = ["beat"] * 30
    assert texts(live.start("code")) == ["a"]
    assert set(clock.slept) == {RESUME_PAUSES[0]}


def test_a_service_that_is_not_there_is_reported_at_once(live, pod, clock):
    live.verify()
    pod.close()
    with pytest.raises(ConnectionFailedError, match="Nothing answers at"):
        live.start("code")
    assert sum(clock.slept) < 5


def test_attach_replays_from_where_one_likes(pod, live):
    pod.prints("a", "b", "c")
    run = live.start("code").run_id
    assert texts(live.attach(run)) == ["a", "b", "c"]
    assert texts(live.attach(run, after=2)) == ["c"]
    with pytest.raises(JobNotFoundError):
        list(live.attach("f" * 32))


def test_an_interrupted_iteration_goes_on_where_it_stopped(pod, live, monkeypatch):
    pod.prints(*"abcdef")
    stream, got = live.start("code"), []

    def interrupting(line):
        event = decode_event(line)
        if event.seq == 4:
            monkeypatch.undo()
            raise KeyboardInterrupt
        return event

    monkeypatch.setattr("clouditia_jupyter.client.events.decode_event", interrupting)
    with pytest.raises(KeyboardInterrupt):
        for event in stream:
            got += [event]
    got += stream
    assert texts(got) == list("abcdef")


def test_an_interrupted_read_goes_on_where_it_stopped(pod, live, monkeypatch):
    pod.prints(*"abc")
    stream = live.start("code")
    assert next(stream).content["text"] == "a"

    def broken(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(httpx.Response, "iter_raw", broken)
        stream._pending.clear()
        stream.close()
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    assert texts(stream) == ["b", "c"]


def test_interrupt_goes_over_a_second_connection(pod, live):
    pod.prints("a")
    pod.hold_until_interrupted = True
    stream = live.start("code")
    assert next(stream).content["text"] == "a"
    stream.interrupt()
    assert next(stream).type == "done"


def test_a_stream_says_where_it_is(pod, live):
    pod.prints("a")
    stream = live.start("code", run_id="0" * 32)
    next(stream)
    assert repr(stream) == f"EventStream('{'0' * 32}', after=1)"
    list(stream)
    assert "done" in repr(stream)
    assert isinstance(stream, EventStream)
    assert list(stream) == []


def test_a_line_longer_than_any_chunk_arrives_whole(pod, live):
    pod.prints("x" * 3_000_000)
    (text,) = texts(live.start("code"))
    assert len(text) == 3_000_000
