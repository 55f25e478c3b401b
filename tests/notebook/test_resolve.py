"""Names, short ids and beginnings."""

from __future__ import annotations

import pytest

from clouditia_jupyter.errors import (
    AmbiguousIdError,
    QueueJobNotFoundError,
    SessionNotFoundError,
    SessionStateError,
)
from clouditia_jupyter.models import GPUSession, QueueJob
from clouditia_jupyter.notebook import resolve


def made(identifier: str, name: str, status: str = "running") -> GPUSession:
    return GPUSession(id=identifier.ljust(36, "0"), name=name, status=status)


TRAIN = made("0e4c713a", "train")
TRAIN_OLD = made("0e4caaaa", "train", "stopped")
TEST = made("f0b09214", "test")
SESSIONS = [TRAIN_OLD, TRAIN, TEST]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        (TRAIN.id, TRAIN),
        ("0e4c713a", TRAIN),
        ("0e4c7", TRAIN),
        ("0E4C7", TRAIN),
        ("test", TEST),
        ("TES", TEST),
        ("train", TRAIN),  # of two of one name, the one that runs
        ("0e4caaaa", TRAIN_OLD),
    ],
)
def test_what_a_word_means(word: str, meant: GPUSession) -> None:
    assert resolve.session(SESSIONS, word) is meant


def test_an_exact_name_comes_before_a_beginning() -> None:
    longer = made("aaaaaaaa", "test-2")
    assert resolve.session([longer, TEST], "test") is TEST


def test_no_match_names_near_ones_and_the_next_step() -> None:
    with pytest.raises(SessionNotFoundError, match=r"'tran'.*train.*%clouditia sessions"):
        resolve.session(SESSIONS, "tran")


@pytest.mark.parametrize("word", ["", "zzz"])
def test_no_match_without_near_names(word: str) -> None:
    with pytest.raises(SessionNotFoundError, match="%clouditia sessions lists them"):
        resolve.session(SESSIONS, word)


def test_several_matches_are_listed() -> None:
    with pytest.raises(
        AmbiguousIdError, match=r"'t' fits 2.*train \(0e4c713a\), test \(f0b09214\)"
    ):
        resolve.session(SESSIONS, "t")


def test_the_only_running_session_is_meant_without_a_word() -> None:
    assert resolve.only_running([TRAIN_OLD, TEST]) is TEST


def test_none_running_names_create() -> None:
    with pytest.raises(SessionNotFoundError, match="%clouditia create --gpu"):
        resolve.only_running([TRAIN_OLD])


def test_several_running_are_listed() -> None:
    with pytest.raises(SessionStateError, match=r"train.*test.*%clouditia use"):
        resolve.only_running(SESSIONS)


def test_tickets() -> None:
    first, second = QueueJob(queue_id="aaaa1"), QueueJob(queue_id="aaaa2")
    assert resolve.ticket([first, second], "aaaa2") is second
    with pytest.raises(AmbiguousIdError, match="fits 2 tickets"):
        resolve.ticket([first, second], "aaa")
    with pytest.raises(QueueJobNotFoundError, match="%clouditia queue"):
        resolve.ticket([first], "b")
