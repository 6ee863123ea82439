"""What the commands share."""

import json
from pathlib import Path

import pytest

from tests.training import tiny
from vqvae import config as configuration
from vqvae.cli.arguments import first_words, note, option, read_settings, say
from vqvae.errors import ConfigError


def test_words_before_the_first_option() -> None:
    assert first_words(["images", "more", "--data", "x", "later"]) == ["images", "more"]
    assert first_words(["--data", "x"]) == []


def test_an_option_is_read_ahead_in_both_forms() -> None:
    assert option(["images", "--data", "here"], "data") == "here"
    assert option(["images", "--data=there"], "data") == "there"
    assert option(["images", "--data"], "data") is None
    assert option(["images", "--data.path", "x"], "data") is None


def test_settings_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(configuration.dumps(tiny.settings()))
    assert read_settings(path) == tiny.settings()
    path.write_text("{")
    with pytest.raises(ConfigError, match="cannot be read as settings"):
        read_settings(path)
    with pytest.raises(ConfigError, match="cannot be read as settings"):
        read_settings(tmp_path / "none.json")


def test_results_are_said_as_json_or_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"psnr": 31.12784, "prior": None, "seconds": {"a": 1.0}}
    say(values, True)
    assert json.loads(capsys.readouterr().out) == values
    say(values, False)
    assert capsys.readouterr().out.splitlines() == ["psnr     31.13", "prior    -", "seconds  a 1"]


def test_one_process_of_several_speaks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        note(f"from {rank}")
    assert capsys.readouterr().err == "from 0\n"
