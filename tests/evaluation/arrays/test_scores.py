"""The scores of data that is neither pictures nor sound."""

import math

import numpy as np
import pytest
import torch

from vqvae.data.arrays import ArrayDataset
from vqvae.data.base import Batch
from vqvae.evaluation.arrays.scores import SquaredError, score_arrays
from vqvae.likelihoods import GaussianDensityConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ArrayDecoderConfig, ArrayEncoderConfig
from vqvae.pipeline import Pipeline
from vqvae.priors import PixelCNNConfig, WaveNetConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.signals import Signal


def test_the_error_is_that_of_float64() -> None:
    x, made = torch.randn(6, 5, 9).double() * 3 + 100, torch.randn(6, 5, 9).double() + 100
    error = SquaredError()
    for rows in (slice(0, 2), slice(2, 6)):
        error.add(Batch(x[rows].float()), made[rows].float())
    found = error.scores()
    mse = float((x.float().double() - made.float().double()).square().mean())
    assert found["rmse"] == pytest.approx(math.sqrt(mse))
    # Squares of numbers around 100 leave eleven digits.
    assert found["nmse"] == pytest.approx(mse / float(x.float().double().var(correction=0)), rel=1e-9)


def test_what_a_mask_leaves_out_counts_nowhere() -> None:
    x, made, mask = torch.randn(2, 5, 9), torch.randn(2, 5, 9), torch.arange(9).expand(2, 9) < torch.tensor([[9], [4]])
    masked, alone = SquaredError(), SquaredError()
    masked.add(Batch(x, mask=mask), made)
    alone.add(Batch(x[:1]), made[:1])
    alone.add(Batch(x[1:, :, :4]), made[1:, :, :4])
    assert masked.scores() == pytest.approx(alone.scores())


def test_nothing_and_data_that_does_not_vary_have_no_number() -> None:
    error = SquaredError()
    assert all(math.isnan(value) for value in error.scores().values())
    error.add(Batch(torch.ones(2, 1, 4)), torch.zeros(2, 1, 4))
    assert error.scores()["rmse"] == 1 and math.isnan(error.scores()["nmse"])


def test_errors_by_example_and_by_position() -> None:
    x = torch.zeros(3, 2, 4)
    made = x.clone()
    made[1, :, 2] = 2.0
    error = SquaredError()
    error.add(Batch(x[:2]), made[:2])
    error.add(Batch(x[2:], mask=torch.tensor([[True, True, False, False]])), made[2:])
    assert torch.cat(error.examples).tolist() == [0.0, 1.0, 0.0]
    assert error.positions is not None and error.positions.tolist() == pytest.approx([0, 0, math.sqrt(2), 0])
    error.add(Batch(torch.zeros(1, 2, 7)), torch.zeros(1, 2, 7))
    assert error.positions is None, "of several sizes"


@pytest.mark.parametrize("axes", [("time",), ("height", "width")])
def test_an_evaluation_of_arrays_has_worst_cases_samples_and_classes(axes: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    size, signal = (16,) * len(axes), Signal(axes=axes, channels=1)
    x = np.random.default_rng(0).normal(size=(6, 1, *size)).astype(np.float32)
    data = ArrayDataset(x, name="x", signal=signal, labels=np.arange(6) % 2, label_names=("a", "b"))
    stride = (4,) * len(axes)
    model = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
        likelihood=GaussianDensityConfig(channels=1),
        encoder=ArrayEncoderConfig(axes=axes, stride=stride, width=8, centre=(0.0,), unit=(1.0,)),
        decoder=ArrayDecoderConfig(stride=stride, width=8),
    ).build()
    model.start([data.batch(np.arange(6))])
    maps = PixelCNNConfig(codebook_size=8, layers=1, hidden=4, output_hidden=4)
    prior = maps if len(axes) == 2 else WaveNetConfig(codebook_size=8, layers=2, cycle=2, residual=4, skip=4, output_hidden=4)
    found = score_arrays(Pipeline(model, prior.build(), label_names=("a", "b"), size=size, signal=signal), data)
    drawn = found.charts if len(axes) == 1 else found.pictures
    assert set(drawn) == {"reconstructions", "worst_cases", "error", "samples"} == set(found.captions)
    assert found.classes["a"]["examples"] == 3 and set(found.classes["b"]) == {"examples", "rmse", "bits_per_dim"}
    both = [found.classes[name]["rmse"] ** 2 for name in "ab"]
    assert found.scores["rmse"] ** 2 > 0 and min(both) < found.scores["rmse"] ** 2 * 1.5
