"""From an answer to its object, or to the exception that it stands for."""

import json

import pytest

from clouditia_jupyter import errors
from clouditia_jupyter.client.answers import decode_answer, decode_object


def refused(status, data, **options):
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    with pytest.raises(errors.APIError) as caught:
        decode_answer(status, body, **options)
    assert str(caught.value)
    return caught.value


def test_a_yes_is_its_object():
    assert decode_answer(200, b'{"success": true, "a": 1}') == {"success": True, "a": 1}
    assert decode_answer(200, b'{"sessions": []}') == {"sessions": []}
    assert decode_answer(200, b'{"success": false, "queued": true}')["queued"]


@pytest.mark.parametrize("cls", errors.BY_CODE.values(), ids=lambda cls: cls.__name__)
def test_a_code_decides(cls):
    data = {"success": False, "error": "Said so.", "code": cls.code, "hint": 3}
    error = refused(cls.status, data)
    assert type(error) is cls
    assert (str(error), error.status, error.details) == ("Said so.", cls.status, {"hint": 3})


@pytest.mark.parametrize(("status", "cls"), errors.BY_STATUS.items())
def test_without_a_code_the_status_decides(status, cls):
    assert type(refused(status, {"success": False, "error": "no"})) is cls
    assert type(refused(status, b"nothing readable")) is cls


def test_a_missing_thing_is_of_the_class_that_the_call_knows():
    missing = errors.SessionNotFoundError
    for status, text in ((404, ""), (404, "x"), (200, "Session not found"), (400, "non trouvée")):
        error = refused(status, {"success": False, "error": text}, missing=missing)
        assert type(error) is missing
    assert type(refused(404, b"<html>no</html>", missing=missing)) is missing


def test_a_refusal_with_gpus_is_about_resources():
    data = {"success": False, "error": "no", "unavailable_gpus": ["a"], "available_gpus": ["b"]}
    for status in (200, 400):
        error = refused(status, data)
        assert isinstance(error, errors.InsufficientResourcesError)
        assert (error.unavailable_gpus, error.available_gpus) == (["a"], ["b"])


def test_a_403_with_a_reason_is_a_blocked_command():
    error = refused(403, {"error": "Command not permitted.", "reason": "rm -rf /"})
    assert isinstance(error, errors.CommandBlockedError)
    assert error.reason == "rm -rf /"
    assert "rm -rf /" in str(error)
    assert isinstance(refused(403, {"error": "x", "blocked": True}), errors.CommandBlockedError)
    assert type(refused(403, {"error": "no"})) is errors.PermissionDeniedError


@pytest.mark.parametrize("status", [200, 500, 502, 503])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>", b"\n <HTML>", b"\xef\xbb\xbf<html>"])
def test_a_page_instead_of_an_answer_may_pass(status, page):
    assert isinstance(refused(status, page), errors.ServiceUnavailableError)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff"])
def test_no_object_is_no_answer(body):
    assert "address" in str(refused(200, body))


def test_too_many_requests_may_pass():
    assert isinstance(refused(429, {"error": "slow"}), errors.ServiceUnavailableError)


def test_a_failure_can_be_the_answer():
    data = {"success": False, "error": "ValueError: x"}
    assert decode_object(200, json.dumps(data).encode()) == data
    with pytest.raises(errors.PermissionDeniedError):
        decode_object(403, json.dumps(data).encode())
