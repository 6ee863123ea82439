"""Errors as answers."""

import pytest

from vqvae.errors import BitstreamError, ConfigError, DataError, MissingExtraError
from vqvae.serving.refusals import Refusal, as_json, headers_of, message_of, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (DataError("x"), 400),
        (BitstreamError("x"), 400),
        (ConfigError("x"), 422),
        (MissingExtraError("pillow", "images"), 422),
        (Refusal(429, "x"), 429),
        (MemoryError(), 503),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), 503),
        (RuntimeError("x"), 500),
    ],
)
def test_the_status_follows_from_the_error(error: Exception, status: int) -> None:
    assert status_of(error) == status


def test_our_words_are_sent_and_those_of_others_are_not() -> None:
    assert message_of(DataError("cat.png is no picture.")) == "cat.png is no picture."
    assert "secret" not in message_of(RuntimeError("/secret/path")) and "log" in message_of(RuntimeError("/secret/path"))
    assert "memory" in message_of(MemoryError())


def test_an_answer_names_the_request_and_when_to_come_back() -> None:
    assert as_json(413, "Too large.", "abc") == {"error": {"code": "too_large", "message": "Too large.", "request_id": "abc"}}
    assert headers_of(Refusal(429, "x", retry_after=0.2)) == {"Retry-After": "1"} and headers_of(DataError("x")) == {}
