"""What the commands share."""

import json

import pytest

from vqvae.cli.arguments import first_words, note, option, say


def test_words_before_the_first_option() -> None:
    assert first_words(["images", "more", "--data", "x", "later"]) == ["images", "more"]
    assert first_words(["--data", "x"]) == []


def test_an_option_is_read_ahead_in_both_forms() -> None:
    assert option(["images", "--data", "here"], "data") == "here"
    assert option(["images", "--data=there"], "data") == "there"
    assert option(["images", "--data"], "data") is None
    assert option(["images", "--data.path", "x"], "data") is None


def test_results_are_said_as_json_or_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    values = {"psnr": 31.12784, "codes_used": 0.984, "seconds": 200.2, "prior": None, "others": {"a": 1.0}}
    say(values, True)
    assert json.loads(capsys.readouterr().out) == values
    say(values, False)
    assert capsys.readouterr().out.splitlines() == [
        "PSNR        31.13 dB",
        "Codes used  98.4 %",
        "Total time  3 min 20 s",
        "Prior       -",
        "Others      a 1",
    ]


def test_one_process_of_several_speaks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        note(f"from {rank}")
    assert capsys.readouterr().err == "from 0\n"
