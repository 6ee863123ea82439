"""Mu-law audio: the companding beside its formula, the round trip, masks, and errors that say what to do."""

import numpy as np
import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import MuLaw, MuLawConfig


def make(levels: int = 256) -> MuLaw:
    return MuLawConfig(levels=levels).build()


@pytest.mark.parametrize("levels", [2, 7, 256, 65536])
def test_every_bin_survives_the_way_to_audio_and_back(levels: int) -> None:
    likelihood, bins = make(levels), torch.arange(levels).view(1, 1, -1)
    x = likelihood.restore(bins)
    assert x.dtype == torch.float32 and -1 <= float(x.min()) < 1e-6 - 1 and 1 >= float(x.max()) > 1 - 1e-6
    assert (x.diff() > 0).all(), "louder bins are louder audio"
    assert torch.equal(likelihood.discretise(x), bins)


def test_bins_are_those_of_the_formula() -> None:
    x = np.linspace(-1, 1, 4001)
    companded = np.sign(x) * np.log(1 + 255 * np.abs(x)) / np.log(256)
    expected = np.round((companded + 1) / 2 * 255)
    found = make().discretise(torch.from_numpy(x).view(1, 1, -1)).flatten().numpy()
    # Half-way points go up here and to the even one there; silence is such a point.
    assert (np.abs(found - expected) <= (x == 0)).all()
    assert found[2000] == 128 and found[0] == 0 and found[-1] == 255


def test_quiet_audio_has_finer_bins() -> None:
    x = make().restore(torch.arange(256))
    assert float(x.diff()[127]) < 2e-4 < 0.02 < float(x.diff()[-1])


def test_log_prob_beside_torch_distributions() -> None:
    likelihood, generator = make(16), torch.Generator().manual_seed(0)
    p, bins = torch.randn(2, 16, 5, generator=generator), torch.randint(16, (2, 1, 5), generator=generator)
    expected = torch.distributions.Categorical(logits=p.movedim(1, -1)).log_prob(bins[:, 0])
    torch.testing.assert_close(likelihood.log_prob(p, likelihood.restore(bins)), expected.sum(1))
    mask = torch.tensor([[True, True, False, False, False], [True, False, True, True, True]])
    torch.testing.assert_close(likelihood.log_prob(p, likelihood.restore(bins), mask), (expected * mask).sum(1))


def test_wrong_audio_is_an_error_that_says_what_to_do() -> None:
    likelihood = make()
    with pytest.raises(DataError, match=r"int16 with values from -3 to 200;.*Divide it by 32768"):
        likelihood.discretise(torch.tensor([[[-3, 200]]], dtype=torch.int16))
    with pytest.raises(DataError, match="Subtract 128"):
        likelihood.discretise(torch.zeros(1, 1, 4, dtype=torch.uint8))
    for value in (1.5, -1.001, float("nan"), float("inf")):
        with pytest.raises(DataError, match="Scale or clip"):
            likelihood.discretise(torch.tensor([[[0.0, value]]]))
    for shape in ((1, 4), (1, 2, 4), (1, 1, 2, 2)):
        with pytest.raises(DataError, match=r"expected \(batch, 1, time\)"):
            likelihood.discretise(torch.zeros(shape))
    with pytest.raises(DataError, match=r"expected \(2, 256, 4\)"):
        likelihood.log_prob(torch.zeros(2, 256, 5), torch.zeros(2, 1, 4))
    for levels in (1, 2**16 + 1):
        with pytest.raises(ConfigError, match="levels"):
            make(levels)
