"""Settings files."""

from pathlib import Path

import pytest

from tests.training import tiny
from vqvae import config as configuration
from vqvae.cli.main import main
from vqvae.cli.settings import read_settings
from vqvae.errors import ConfigError
from vqvae.runs.folder import stored_config


def test_settings_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(configuration.dumps(tiny.settings()))
    assert read_settings(path) == tiny.settings()
    path.write_text("{")
    with pytest.raises(ConfigError, match="is not valid JSON"):
        read_settings(path)
    with pytest.raises(ConfigError, match="cannot be read as settings"):
        read_settings(tmp_path / "none.json")


def test_info_prints_what_train_and_train_prior_read(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in ("tokenizer", "prior"):
        assert main(["info", str(run), "--settings", "--part", part]) == 0
        path = tmp_path / f"{part}.json"
        path.write_text(capsys.readouterr().out)
        assert read_settings(path) == stored_config(run, part)
    again = ["--device", "cpu"]
    assert main(["train", "--settings", str(tmp_path / "tokenizer.json"), "--out", str(run), *again]) == 0
    assert main(["train-prior", str(run), "--settings", str(tmp_path / "prior.json"), *again]) == 0
    assert main(["train", str(tmp_path / "prior.json"), "--data", "x", "--out", str(tmp_path / "other")]) == 1
    assert "train-prior" in capsys.readouterr().err
