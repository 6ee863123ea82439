"""Durations, and lines on stderr."""

import io
import sys

import pytest

from vqvae.words import counted, duration, say


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (1.25, "1.2 s"),
        (9.99, "10 s"),
        (59.7, "1 min"),
        (100.0, "1 min 40 s"),
        (599.8, "10 min"),
        (24 * 60.0, "24 min"),
        (3_599.0, "1 h"),
        (3_700.0, "1 h 2 min"),
        (86_399.0, "1 day"),
        (4e5, "4 days 15 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize("stream", ["closed", "broken"])
def test_nobody_need_read_a_line(stream: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", None if stream == "closed" else Broken())
    assert say("a word") is None


def test_one_thing_is_no_plural() -> None:
    assert [counted(number, "held-out clips") for number in (0, 1, 2)] == ["0 held-out clips", "1 held-out clip", "2 held-out clips"]
    assert counted(1234, "clips") == "1,234 clips"
