"""Pictures of what a model makes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.training import tiny
from vqvae.data.base import Condition
from vqvae.errors import CheckpointError
from vqvae.models import VQVAE
from vqvae.pipeline import Pipeline
from vqvae.priors import PixelCNNConfig
from vqvae.training import Callback, ReconstructionGrid, SampleGrid


def test_a_grid_shows_held_out_images_above_their_reconstructions(tmp_path: Path) -> None:
    held_out, model = tiny.Noise(20, 1), tiny.model().build().eval()
    callback = ReconstructionGrid(held_out, every=4, count=5, columns=3)
    assert isinstance(callback, Callback)
    shown = callback(8, model, tmp_path)["reconstructions"]
    stored = np.asarray(Image.open(tmp_path / "grids" / "reconstructions-000008.png"))
    assert np.array_equal(shown, stored)
    batch = held_out.batch(np.array([0, 4, 8, 12, 16]))
    assert np.array_equal(stored[:8, :8], batch.x[0].permute(1, 2, 0))
    assert np.array_equal(stored[20:28, 10:18], batch.x[4].permute(1, 2, 0))
    decoded = model.decode(model.encode(batch))
    assert np.array_equal(stored[30:38, 10:18], decoded[4].permute(1, 2, 0))


def test_what_was_padded_is_cut_off(tmp_path: Path) -> None:
    class Odd(tiny.Noise):
        def batch(self, indices: np.ndarray) -> object:
            batch = super().batch(indices)
            return batch._replace(x=batch.x[:, :, :7, :5])

    shown = ReconstructionGrid(Odd(3, 1), every=1)(1, tiny.model().build().eval(), tmp_path)["reconstructions"]
    assert shown.shape == (2 * 9 - 2, 3 * 7 - 2, 3)


def test_the_condition_reaches_the_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Condition] = []
    decode = VQVAE.decode
    monkeypatch.setattr(VQVAE, "decode", lambda self, codes, condition: (seen.append(condition), decode(self, codes))[1])
    ReconstructionGrid(tiny.Noise(4, 1), every=1)(1, tiny.model().build().eval(), tmp_path)
    assert seen[0].label.tolist() == [0, 1, 0, 1]


def test_nothing_held_out_is_nothing_to_show(tmp_path: Path) -> None:
    assert ReconstructionGrid(tiny.Noise(0, 1), every=1)(1, tiny.model().build().eval(), tmp_path) == {}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "grids").write_text("")
    with pytest.raises(CheckpointError, match=r"reconstructions-000001.png could not be written"):
        ReconstructionGrid(tiny.Noise(4, 1), every=1)(1, tiny.model().build().eval(), tmp_path)


def test_samples_of_a_prior_are_those_that_its_pipeline_draws(tmp_path: Path) -> None:
    tokenizer = tiny.model().build().eval()
    level = tokenizer.layout[0]
    prior = (
        PixelCNNConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks, layers=1, hidden=4, classes=2).build().eval()
    )
    known = {"label_names": ("a", "b"), "size": (8, 8)}
    callback = SampleGrid(Pipeline(tokenizer, **known), every=4, count=3, columns=3)
    assert isinstance(callback, Callback)
    shown = callback(12, prior, tmp_path)["samples"]
    assert np.array_equal(shown, np.asarray(Image.open(tmp_path / "grids" / "samples-000012.png")))
    drawn = Pipeline(tokenizer, prior, **known).sample(3)
    assert np.array_equal(shown[:, 20:28], drawn[2].permute(1, 2, 0))
