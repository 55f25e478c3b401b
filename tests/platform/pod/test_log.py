"""The event log: appended once, read from anywhere, by anyone, at any pace."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

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
