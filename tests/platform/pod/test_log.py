"""The event log: appended once, read from anywhere, by anyone, at any pace."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from clouditia_jupyter.platform.pod.log import EventLog


def _events(data: bytes) -> list[tuple[int, object]]:
    return [(e["seq"], e["content"]) for e in map(json.loads, data.splitlines())]


async def _read(log: EventLog, after: int = 0, offset: int = 0) -> bytes:
    return b"".join([chunk async for chunk in log.read(after, 60, offset)])


def test_every_event_gets_the_next_number(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        log = EventLog(tmp_path / "log")
        log.append([("stream", b"1"), ("stream", b"2")])
        log.append([("done", b"3")])
        log.close()
        return await _read(log)

    assert _events(asyncio.run(scenario())) == [(1, 1), (2, 2), (3, 3)]


def test_reading_after_n_begins_with_n_plus_one(tmp_path: Path) -> None:
    async def scenario() -> list[bytes]:
        log = EventLog(tmp_path / "log")
        log.append([("stream", b"%d" % n) for n in range(1, 6)])
        log.close()
        return [await _read(log, after) for after in range(8)]

    read = [[seq for seq, _ in _events(data)] for data in asyncio.run(scenario())]
    assert read == [[1, 2, 3, 4, 5], [2, 3, 4, 5], [3, 4, 5], [4, 5], [5], [], [], []]


def test_reading_can_begin_in_the_middle_of_an_event(tmp_path: Path) -> None:
    async def scenario() -> tuple[bytes, list[bytes]]:
        log = EventLog(tmp_path / "log")
        log.append([("stream", b"%d" % n) for n in range(1, 4)])
        log.close()
        whole = await _read(log, 1)
        return whole, [await _read(log, 1, offset) for offset in range(len(whole))]

    whole, rests = asyncio.run(scenario())
    assert rests == [whole[offset:] for offset in range(len(whole))]


def test_a_reader_that_waits_gets_what_comes(tmp_path: Path) -> None:
    async def scenario() -> bytes:
        log = EventLog(tmp_path / "log")
        readers = [asyncio.create_task(_read(log)) for _ in range(3)]
        for n in range(100):
            log.append([("stream", b"%d" % n)])
            await asyncio.sleep(0)
        log.close()
        first, *others = await asyncio.gather(*readers)
        assert all(other == first for other in others)
        return first

    assert [content for _, content in _events(asyncio.run(scenario()))] == list(range(100))


def test_a_silent_log_sends_heartbeats(tmp_path: Path) -> None:
    async def scenario() -> list[bytes]:
        log = EventLog(tmp_path / "log")
        reader = log.read(0, heartbeat=0.001)
        silent = [await anext(reader), await anext(reader)]
        log.append([("stream", b'"x"')])
        while not (chunk := await anext(reader)):
            pass
        log.close()
        return [*silent, chunk, *[rest async for rest in reader]]

    silent, again, event = asyncio.run(scenario())
    assert (silent, again) == (b"", b"")
    assert _events(event) == [(1, "x")]


def test_an_event_larger_than_a_chunk_arrives_whole(tmp_path: Path) -> None:
    text = "x" * (3 << 20)

    async def scenario() -> bytes:
        log = EventLog(tmp_path / "log")
        log.append([("stream", json.dumps(text).encode())])
        log.close()
        return await _read(log)

    assert _events(asyncio.run(scenario())) == [(1, text)]


def test_only_its_user_may_read_the_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        EventLog(tmp_path / "log").close()

    asyncio.run(scenario())
    assert (tmp_path / "log").stat().st_mode & 0o077 == 0


def test_a_log_that_may_forget_gives_space_back_and_keeps_the_last_events(tmp_path: Path) -> None:
    path = tmp_path / "log"
    text = b'"%s"' % (b"x" * 1000)

    async def scenario() -> list[bytes]:
        log = EventLog(path, keep=100_000)
        for _ in range(1000):
            log.append([("stream", text)])
        assert len(log) == 1000
        log.close()
        return [await _read(log, after) for after in (0, 500, 998)]

    read = [[seq for seq, _ in _events(data)] for data in asyncio.run(scenario())]
    assert read[0] == read[1] == list(range(read[0][0], 1001))
    assert 95 < len(read[0]) < 250
    assert read[2] == [999, 1000]
    assert path.stat().st_blocks * 512 < 500_000


def test_a_reader_that_is_too_slow_for_a_forgetful_log_gets_whole_events(tmp_path: Path) -> None:
    text = b'"%s"' % (b"x" * 1000)

    async def scenario() -> bytes:
        log = EventLog(tmp_path / "log", keep=10_000)
        log.append([("stream", text)])
        reading = log.read(0, 60)
        first = await reading.__anext__()
        for _ in range(100):
            log.append([("stream", text)])
        log.close()
        return first + b"".join([chunk async for chunk in reading])

    numbers = [seq for seq, _ in _events(asyncio.run(scenario()))]
    assert numbers[0] == 1
    assert numbers[1] > 50
    assert numbers[1:] == list(range(numbers[1], 102))


def test_on_a_full_disk_a_run_still_ends_and_says_why_its_output_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = 250
    write = os.write

    def into_little_room(fd: int, data: memoryview) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(fd, data[:room])
        room -= written
        return written

    async def scenario() -> bytes:
        nonlocal room
        log = EventLog(tmp_path / "log")
        monkeypatch.setattr(os, "write", into_little_room)
        for _ in range(20):
            log.append([("stream", b'"%s"' % (b"x" * 500_000))])
        log.append([("done", b"{}")])
        log.close()
        return await _read(log)

    events = [json.loads(line) for line in asyncio.run(scenario()).splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["type"] == "done"
    assert "disk that keeps it is full" in events[-2]["content"]["text"]
    assert 8 <= len(events) < 15


def test_what_waited_for_room_is_written_when_there_is_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def no_room(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def scenario() -> bytes:
        log = EventLog(tmp_path / "log")
        monkeypatch.setattr(os, "write", no_room)
        log.append([("stream", b"1")])
        monkeypatch.setattr(os, "write", write)
        log.append([("done", b"{}")])
        log.close()
        return await _read(log)

    data = asyncio.run(scenario())
    assert json.loads(data.splitlines()[-1])["type"] == "done"
    assert (tmp_path / "log").read_bytes() == data


def test_a_late_reader_never_gets_half_an_event(tmp_path: Path) -> None:
    text = json.dumps("x" * 300_000).encode()  # a chunk ends in the middle of one

    async def scenario() -> tuple[list[int], int]:
        log = EventLog(tmp_path / "log", keep=1 << 20)
        received: list[int] = []
        cuts = 0
        log.append([("stream", text)] * 5)
        while not received or received[-1] < 60:
            held = b""
            async for chunk in log.read(received[-1] if received else 0, 60):
                held += chunk
                *lines, held = held.split(b"\n")
                received += [json.loads(line)["seq"] for line in lines]
                if len(log) < 60:
                    log.append([("stream", text)] * 5)
                elif received and received[-1] == 60:
                    break
            cuts += 1
        return received, cuts - 1

    received, cuts = asyncio.run(scenario())
    assert received == sorted(set(received))
    assert len(received) < 60  # the others were forgotten
    assert cuts > 0
