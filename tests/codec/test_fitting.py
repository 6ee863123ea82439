import numpy as np
import pytest
import torch

from tests.codec.models import clip
from vqvae.codec.fitting import FitConfig, FloatPrior, fit, sample, steps_of, to_integers
from vqvae.codec.integer import IntegerPriorConfig
from vqvae.codec.integer_coder import PriorCoder
from vqvae.data.base import Batch, Condition, Dataset
from vqvae.signals import Signal


class Rows(Dataset):
    """Maps whose codes count up along each row, from a start that the label gives."""

    name, signal, label_names = "rows", Signal(axes=("height", "width"), channels=1, levels=7), ("a", "b", "c")

    def __len__(self) -> int:
        return 40

    def batch(self, indices: np.ndarray) -> Batch:
        labels = torch.from_numpy(indices % 3)
        return Batch((labels[:, None, None] + torch.arange(8)).expand(-1, 6, -1)[:, None] % 7, Condition(labels))


CONFIG = IntegerPriorConfig(codebook_size=7, classes=3, width=4, hidden=16)
FAST = FitConfig(multiplications=1, epochs=20, positions=256, learning_rate=0.02)


def test_a_fit_learns_and_costs_the_same_in_integers() -> None:
    fitted = fit(Rows(), Rows(), CONFIG, FAST)
    assert fitted.bits < 0.3 and fitted.bits == pytest.approx(fitted.bits_float, rel=0.03, abs=0.001)
    assert fitted.codes == 40 * 48
    assert fitted.prior.frequencies.shape == (1, 7) and fitted.prior.frequencies.min() > 1


def test_the_same_data_gives_the_same_integers() -> None:
    few = FitConfig(multiplications=1, epochs=2, positions=256)
    assert fit(Rows(), Rows(), CONFIG, few).prior.fingerprint == fit(Rows(), Rows(), CONFIG, few).prior.fingerprint


def test_codebooks_without_a_network_are_counted() -> None:
    fitted = fit(Rows(), Rows(), IntegerPriorConfig(codebook_size=7, hidden=0))
    assert fitted.prior.frequencies.min() > 1 and 2 < fitted.bits == fitted.bits_float < 3


def test_integers_give_the_probabilities_of_the_floats() -> None:
    prior, codes, given = clip()
    network = FloatPrior(prior.config, torch.Generator().manual_seed(0))
    seen = sample(Batch(codes[None], given), prior.config, 1000, np.random.default_rng(0))
    bits = network(seen).sum().item() / np.log(2)
    assert PriorCoder(to_integers(network)).costs(codes, given).sum() == pytest.approx(bits, rel=0.003)


def test_masked_positions_are_not_drawn() -> None:
    batch = Rows().batch(np.arange(4))
    mask = torch.zeros(4, 6, 8, dtype=torch.bool)
    mask[1, 2, :3] = True
    seen = sample(batch._replace(mask=mask), CONFIG, 100, np.random.default_rng(0))
    assert seen.codes[:, 0].tolist() == [2, 3, 4] and seen.near.shape == (3, 24, 1)


def test_large_codebooks_and_little_data_take_few_steps() -> None:
    assert steps_of(CONFIG, FitConfig(), 10) == 1
    large = IntegerPriorConfig(codebook_size=2**14)
    assert steps_of(large, FitConfig(), 10**9) < steps_of(IntegerPriorConfig(codebook_size=512), FitConfig(), 10**9) < 4000
