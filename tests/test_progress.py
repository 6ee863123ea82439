"""Bars on a terminal, lines elsewhere, and nothing where nobody asked for it."""

import sys

import pytest

from vqvae import progress
from vqvae.progress import Progress, showing, tracked


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, which stands still unless a test moves it."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def work(clock: list[float], seconds: float, count: int = 4) -> list[int]:
    """Numbers, each of which takes some seconds."""
    found = []
    for number in tracked(range(count), "reading images", count):
        clock[0] += seconds
        found.append(number)
    return found


def test_lines_say_what_is_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with showing():
        assert work(clock, 6.0) == [0, 1, 2, 3]
    assert capsys.readouterr() == ("", "reading images  2 of 4  12 s left\n")


def test_short_work_and_library_calls_are_quiet(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    work(clock, 100.0)
    with showing():
        work(clock, 1.0)
    assert capsys.readouterr() == ("", "")


def test_work_inside_other_work_is_quiet(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with showing():
        for _ in tracked(range(1), "scoring", 1):
            work(clock, 20.0)
        work(clock, 20.0, 2)
    assert capsys.readouterr().err == "reading images  1 of 2  20 s left\n"


def test_only_the_first_process_speaks(clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    with showing():
        work(clock, 20.0)
    assert capsys.readouterr().err == ""


def test_work_that_fails_ends_its_progress(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with showing():
        with pytest.raises(ZeroDivisionError):
            for _ in tracked([1], "scoring", 1):
                1 / 0  # noqa: B018
        work(clock, 20.0, 2)
    assert capsys.readouterr().err == "reading images  1 of 2  20 s left\n"


def test_items_count_as_much_as_they_hold(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    with showing():
        for _ in tracked(["ab", "cdef", "gh"], "encoding", 8, len):
            clock[0] += 5
    assert capsys.readouterr().err == "encoding  6 of 8  3.3 s left\n"


def test_a_terminal_gets_a_bar_after_a_second(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    with showing():
        work(clock, 0.1)
        assert capsys.readouterr().err == ""
        work(clock, 2.0)
    err = capsys.readouterr().err
    assert "reading images" in err and "4/4" in err


def test_a_progress_that_always_shows_has_words_and_lines_above(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    shown = Progress("prior", 20, done=4, always=True)
    clock[0] += 8
    shown.update(8, "PSNR 24 dB")
    shown.say("[a word]")
    assert shown.is_bar and shown.left() == "24 s left"
    shown.close()
    err = capsys.readouterr().err
    assert "8/20" in err and "PSNR 24 dB" in err and "prior  [a word]" in err


class _Closing:
    """A terminal that is closed after some writes."""

    encoding = "utf-8"

    def __init__(self, error: Exception, writes: int) -> None:
        self.error, self.writes = error, writes

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes -= 1
        if self.writes < 0:
            raise self.error
        return len(text)

    def flush(self) -> None:
        pass


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("I/O operation on closed file")])
@pytest.mark.parametrize("writes", [0, 3])
def test_work_goes_on_after_its_terminal_is_closed(
    clock: list[float], monkeypatch: pytest.MonkeyPatch, error: Exception, writes: int
) -> None:
    monkeypatch.setattr(sys, "stderr", _Closing(error, writes))
    shown = Progress("prior", 20, always=True)
    clock[0] += 8
    shown.update(8, "PSNR 24 dB")
    shown.say("a word")
    shown.close()
    assert shown.done == 8 and not shown.is_bar


def test_a_stream_may_only_have_write(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    class Sink:
        text = ""

        def write(self, text: str) -> None:
            self.text += text

    sink = Sink()
    monkeypatch.setattr(sys, "stderr", sink)
    with showing():
        assert work(clock, 6.0) == [0, 1, 2, 3]
    assert "reading images  2 of 4" in sink.text
