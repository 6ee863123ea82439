"""What stands for the values of flags, and how they are read."""

import dataclasses
from pathlib import Path
from typing import Literal

import pytest
import tyro

from vqvae.cli.values import VALUES, Files, Run
from vqvae.config import settings


@settings
class Example:
    run: Run
    """A run."""
    files: Files
    """Files."""
    count: int | None = None
    """A number."""
    size: int | tuple[int, int] | None = None
    """One number or two."""
    weights: tuple[int, ...] | None = None
    """Any number of numbers."""
    rate: float = 0.5
    """A rate."""
    side: Literal["left", "right"] | None = None
    """A side."""
    place: Path = Path("here")
    """A place."""
    cache: str | None = dataclasses.field(default=None, metadata={"value": "FOLDER"})
    """Where ``files`` are kept."""
    names: tuple[str, ...] = ()
    """Names."""
    speed: int | None = None
    """A speed that needs a sentence so long that its docstring has a second line, and then a
    2nd sentence. Default: that of the data."""
    mirror: bool | None = None
    """A switch that may be left open."""


def read(*arguments: str) -> Example:
    return tyro.cli(Example, args=["run", "file", *arguments], registry=VALUES, prog="vqvae")


def test_values_and_none_are_read() -> None:
    found = read("--count", "3", "--size", "4", "5", "--weights", "1", "2", "3", "--rate", "1", "--side", "left", "--place", "x")
    assert (found.count, found.size, found.weights, found.rate) == (3, (4, 5), (1, 2, 3), 1.0)
    assert (found.side, found.place, found.run, found.files) == ("left", Path("x"), Path("run"), (Path("file"),))
    none = read("--count", "None", "--size", "None", "--weights", "None", "--side", "None")
    assert (none.count, none.size, none.weights, none.side) == (None, None, None, None)


def test_the_help_says_what_values_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tyro.cli(Example, args=["--help"], registry=VALUES, prog="vqvae")
    out = capsys.readouterr().out
    for words in (
        "RUN FILE ...",
        "--count N",
        "--rate X",
        "--place FILE",
        "--side {left,right}",
        "--cache FOLDER",
        "--weights N ...",
        "--names TEXT ...",
    ):
        assert words in out
    assert "{None}" not in out and "INT" not in out
    assert "--mirror, --no-mirror" in out and "Where files are kept." in out


def test_the_help_shows_a_docstring_as_a_paragraph_and_each_default_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        tyro.cli(Example, args=["--help"], registry=VALUES, prog="vqvae")
    out = capsys.readouterr().out
    assert "a second line, and then a 2nd sentence. Default: that of the data." in out
    assert out.count("(default: None)") == 6 and "(default: )" not in out and "(default: 0.5)" in out


@pytest.mark.parametrize(
    ("flag", "words"), [("--count", "'x' is not a whole number"), ("--rate", "'x' is not a number"), ("--side", "invalid choice")]
)
def test_wrong_values_are_named(flag: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read(flag, "x")
    assert words in " ".join(capsys.readouterr().err.split())
