from pathlib import Path

import pytest
import torch

from tests.codec.models import codes_of, prior_of
from vqvae import storage
from vqvae.codec.coders import coder_folder, coders_of, read_integers
from vqvae.codec.container import MODES
from vqvae.codes import Level
from vqvae.errors import CheckpointError, ConfigError

LEVEL = Level(1, 11, (4, 4))


def test_what_is_stored_gives_the_same_bytes(tmp_path: Path) -> None:
    prior, codes = prior_of(), codes_of(1, 11, 5, 6)
    storage.save(prior, coder_folder(tmp_path, 0))
    stored = read_integers(tmp_path, (LEVEL,))
    assert stored[0].fingerprint == prior.fingerprint
    for mode in MODES:
        (before,), (coder,) = coders_of(mode, (LEVEL,), (prior,)), coders_of(mode, (LEVEL,), stored)
        data = before.encode(codes)
        assert coder.name == mode and coder.encode(codes) == data and coder.fingerprint == before.fingerprint
        assert torch.equal(coder.decode(data, (1, 5, 6)), codes)


def test_a_run_without_coders_can_only_pack(tmp_path: Path) -> None:
    assert read_integers(tmp_path, (LEVEL,)) == () and coders_of("packed", (LEVEL,))[0].codebook_size == 11
    with pytest.raises(ConfigError, match="train-coder"):
        coders_of("prior", (LEVEL,))
    with pytest.raises(ConfigError, match="packed, static, prior"):
        coders_of("zip", (LEVEL,))


def test_coders_of_other_codes_are_an_error(tmp_path: Path) -> None:
    storage.save(prior_of(), coder_folder(tmp_path, 0))
    with pytest.raises(CheckpointError, match="does not fit"):
        read_integers(tmp_path, (Level(1, 12, (4, 4)),))
    with pytest.raises(CheckpointError, match="missing"):
        read_integers(tmp_path, (LEVEL, LEVEL))
