"""The recipe for a user's own recordings fits what it finds."""

import numpy as np
import pytest

from tests.data.shards import write_parquet
from vqvae.data import AudioFolderConfig, AudioShardsConfig, write_audio
from vqvae.errors import ConfigError
from vqvae.recipes import RECIPES

pytest.importorskip("soundfile")
RECIPE = RECIPES["speech"]


def test_shards_of_recordings_are_recognised(tmp_path):
    for number in range(12):
        write_audio(tmp_path / f"{number}.wav", np.random.default_rng(number).uniform(-0.5, 0.5, 100).astype(np.float32), 8_000)
    contents = [(tmp_path / f"{number}.wav").read_bytes() for number in range(12)]
    write_parquet(tmp_path / "shards" / "0.parquet", audio=contents, text=contents, who=["ann", "bob"] * 6)
    words = {"column": "audio", "label_column": "who", "cache": str(tmp_path / "cache")}
    config = RECIPE.tokenizer(str(tmp_path / "shards"), **words)
    assert isinstance(config.data, AudioShardsConfig) and config.model.decoder.speakers == 2
    assert (config.data.column, config.data.label_column, config.data.cache) == ("audio", "who", words["cache"])
    (tmp_path / "shards").rename(tmp_path.parent / f"{tmp_path.name}-shards")
    assert isinstance(RECIPE.tokenizer(str(tmp_path)).data, AudioFolderConfig)
    with pytest.raises(ConfigError, match="has no columns"):
        RECIPE.tokenizer(str(tmp_path), column="audio")
