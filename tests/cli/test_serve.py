"""``vqvae serve``: what it refuses, before any model is loaded."""

from pathlib import Path

import pytest

from vqvae.cli.main import main


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--host", "0.0.0.0"], "Set a token"),
        (["--token", "short"], "at least 8 characters"),
        (["--token", "with a space"], "without spaces"),
        (["--deadline", "0"], "deadline is 0"),
        (["--together", "0"], "together is 0"),
        (["--host", "203.0.113.1", "--without-token"], "cannot listen at 203.0.113.1"),
        (["--port", "0"], "no trained tokenizer"),
    ],
)
def test_what_cannot_be_served_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], words: str) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["serve", str(tmp_path / "empty"), *flags]) != 0
    assert words in capsys.readouterr().err


def test_the_token_may_come_from_the_environment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VQVAE_TOKEN", "short")
    assert main(["serve", str(tmp_path), "--port", "0"]) == 1
    assert "at least 8 characters" in capsys.readouterr().err
    monkeypatch.delenv("VQVAE_TOKEN")
    assert main(["serve", "--port", "0"]) == 1
    assert "No run was given" in capsys.readouterr().err
