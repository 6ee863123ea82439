"""Real starts, and patches of training data for each code."""

import base64
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.serving.conftest import episodes, pixels_of
from tests.training import tiny
from vqvae.data import SyntheticImagesConfig
from vqvae.errors import ConfigError
from vqvae.pipeline import load
from vqvae.runs.encoding import read_codes
from vqvae.runs.stages import train_tokenizer
from vqvae.serving.material import CONTEXT, Material
from vqvae.training import RunOptions


def test_patches_show_what_each_code_stands_for(tmp_path: Path) -> None:
    run, options = tmp_path / "run", RunOptions(device="cpu")
    train_tokenizer(tiny.settings(data=SyntheticImagesConfig(count=40, size=16, classes=3)), options, run, recipe="images")
    material, model = Material.of(run), load(run)
    (level,) = material.codebook(model)["levels"]
    sheet = pixels_of(base64.b64decode(level["sheet"].partition(",")[2]))[0].numpy()
    (tall, wide), each, columns = level["patch"], level["per_code"], level["columns"]
    codes, data = read_codes(run).train, SyntheticImagesConfig(count=40, size=16, classes=3).build().train
    counts = np.array(level["counts"])
    found = codes.batch(np.arange(len(codes))).x.numpy()
    assert counts.shape == (model.layout[0].num_codebooks, model.layout[0].codebook_size)
    assert set(np.flatnonzero(counts[0])) == set(np.unique(found[:, 0]).tolist())
    code = int(np.flatnonzero(counts[0])[0])
    place, offset = divmod(code * each, columns)
    patch = sheet[:, place * tall : (place + 1) * tall, offset * wide : (offset + 1) * wide]
    stride = model.layout[0].stride
    middle = patch[:, stride[0] : 2 * stride[0], stride[1] : 2 * stride[1]]
    pictures = data.batch(np.arange(len(data))).x.numpy()
    cells = [
        pictures[i, :, r * stride[0] : (r + 1) * stride[0], c * stride[1] : (c + 1) * stride[1]]
        for i, r, c in zip(*np.nonzero(found[:, 0] == code), strict=True)
    ]
    assert any(np.array_equal(middle, cell) for cell in cells)


def test_starts_are_held_out_episodes_with_enough_frames(tmp_path: Path) -> None:
    material, data = Material(tmp_path, episodes()), episodes().held_out.episodes
    assert material.starts == 1
    start = material.start(0)
    assert torch.equal(start.frames[0].transpose(0, 1), torch.from_numpy(data.frames[:CONTEXT]))
    assert start.actions is not None and start.actions.tolist() == [data.actions[: CONTEXT - 1].tolist()]
    with pytest.raises(ConfigError, match="1 real starts"):
        material.start(1)
    assert Material(tmp_path, None).starts == 0


def test_codes_without_their_data_have_no_patches(tmp_path: Path, runs: list[Path]) -> None:
    material = Material.of(runs[0])
    with pytest.raises(ConfigError, match="not here"):
        material.codebook(load(runs[0]))
