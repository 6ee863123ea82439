"""``vqvae flatten``."""

import json
from pathlib import Path

import numpy as np
import pytest

import vqvae
from vqvae.cli.main import main
from vqvae.data.tokenized import Tokenized
from vqvae.media.flat import open_flat


@pytest.fixture(scope="module")
def codes(run: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tokens") / "codes"
    vqvae.tokenize(run, pictures / "train", out, workers=1, shard_size=10)
    return out


def test_shards_become_one_file(codes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "tokens.bin"
    command = ["flatten", str(codes), "--out", str(out), "--offset", "1000", "--begin", "1", "--end", "2"]
    assert main(command) == 0 and "The tokens of 24 items are in" in capsys.readouterr().err
    found = open_flat(out)
    assert len(found) == 24 and found.tokens.dtype == np.uint16
    for number, item in enumerate(Tokenized(codes).items()):
        assert found.item(number).tolist() == [1, *(item.codes[0].ravel().astype(int) + 1000), 2]
    assert main(command) == 1 and "--overwrite" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0


def test_nothing_is_written_where_something_is_wrong(codes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, said in (
        ([str(codes), "--out", str(tmp_path / "a.npy")], "NAME.bin"),
        ([str(codes), "--out", str(tmp_path / "a.bin"), "--begin", "3"], "outside 0 to 7"),
        ([str(tmp_path), "--out", str(tmp_path / "a.bin")], "vqvae tokenize RUN DATA --out DIR"),
    ):
        assert main(["flatten", *words]) == 1
        assert said in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_shards_that_were_changed_are_named(codes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((codes / "manifest.json").read_text())
    manifest["shards"][1]["sha256"] = "0" * 64
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "shards").symlink_to(codes / "shards")
    assert main(["flatten", str(tmp_path), "--out", str(tmp_path / "a.bin")]) == 1
    assert "shard-000001.parquet is not the shard that the manifest names" in capsys.readouterr().err
    assert not (tmp_path / "a.bin").exists()
