"""The decision to send again."""

import pytest

from clouditia_jupyter.client.retry import LOOPBACK, NEVER, REMOTE, Failure, retry_after


@pytest.mark.parametrize("policy", [REMOTE, LOOPBACK, NEVER])
def test_what_may_have_acted_is_not_sent_twice(policy):
    for failure in (Failure.UNANSWERED, Failure.UNAVAILABLE):
        assert policy.pause(failure, 1, idempotent=False) is None
        assert policy.pause(failure, 1, idempotent=False, retry_after=1.0) is None


@pytest.mark.parametrize("idempotent", [True, False])
def test_what_cannot_have_arrived_is_sent_again(idempotent):
    pauses = [REMOTE.pause(Failure.REFUSED, tries, idempotent=idempotent) for tries in (1, 2, 3, 4)]
    assert pauses == [2.0, 5.0, 10.0, None]


def test_what_fails_alike_each_time_is_not_sent_again():
    assert REMOTE.pause(Failure.HOPELESS, 1, idempotent=True) is None


def test_on_this_machine_the_first_pauses_are_short():
    assert LOOPBACK.pause(Failure.UNAVAILABLE, 1, idempotent=True) == 0.2
    assert 15 < sum(LOOPBACK.pauses) < 20
    assert sum(LOOPBACK.refused) < 2


def test_the_service_s_own_wish_counts_within_reason():
    assert REMOTE.pause(Failure.UNAVAILABLE, 1, idempotent=True, retry_after=9.0) == 9.0
    assert REMOTE.pause(Failure.UNAVAILABLE, 1, idempotent=True, retry_after=0.0) == 2.0
    assert REMOTE.pause(Failure.UNAVAILABLE, 1, idempotent=True, retry_after=3600.0) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("soon", None),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2020 00:00:30 GMT", 0.0),
    ],
)
def test_retry_after_as_seconds_or_date(value, seconds):
    date = "Thu, 01 Jan 2026 00:00:00 GMT"
    assert retry_after({"retry-after": value, "date": date}) == seconds
