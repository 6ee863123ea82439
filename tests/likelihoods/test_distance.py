"""What every distance of waves says of itself: no density, no bins, nothing to draw."""

import pytest
import torch

from vqvae.likelihoods import BinnedLikelihood, CepstralConfig, Distance, Likelihood, SpectralConfig
from vqvae.likelihoods.distance import SoundDistance
from vqvae.signals import sound

every = pytest.mark.parametrize("distance", [SpectralConfig().build(), CepstralConfig().build()], ids=["spectral", "cepstral"])


@every
def test_it_is_a_distance_of_sound_and_no_likelihood(distance: Distance) -> None:
    assert isinstance(distance, SoundDistance) and not isinstance(distance, Likelihood | BinnedLikelihood)
    assert distance.takes_masks and distance.signal(("time",)) == sound()


@every
def test_the_mode_is_a_wave(distance: Distance) -> None:
    parameters = 0.1 * torch.randn(2, distance.num_parameters, 5, generator=torch.Generator().manual_seed(0))
    mode = distance.mode(parameters)
    assert mode.shape == (2, 1, 5 * distance.hop) and mode.any()
    sound().check(mode)
    assert not hasattr(distance, "sample") and not hasattr(distance, "discretise")
