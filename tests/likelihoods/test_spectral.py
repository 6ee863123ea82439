"""The spectral distance: 0 for equals, beside a formula of its own, masks as slices, and no density."""

import numpy as np
import pytest
import torch
from scipy import signal

from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import Likelihood, Spectral, SpectralConfig


def make(*windows: int, **changes: float) -> Spectral:
    return SpectralConfig(windows=windows or (32, 64), **changes).build()


def waves(seed: int, *shape: int) -> torch.Tensor:
    return 0.2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).clamp(-4, 4)


def test_it_is_nothing_for_equal_waves_and_grows_with_noise() -> None:
    likelihood, x, noise = make(), waves(0, 1, 1, 512), waves(1, 1, 1, 512)
    distances = [float(likelihood.loss(x + amount * noise, x)) / 512 for amount in (0, 0.01, 0.1, 1)]
    assert distances[0] == 0 and (np.diff(distances) > 0).all()


def test_it_is_the_formula() -> None:
    x, made = waves(0, 1, 1, 256), waves(1, 1, 1, 256)
    spectra = []
    for wave in (x, made):
        padded = np.pad(wave[0, 0].double().numpy(), (12, 12))
        frames = np.stack([padded[start : start + 32] for start in range(0, 256, 8)])
        window = signal.get_window("hann", 32)
        spectra.append(np.abs(np.fft.rfft(frames * window / window.sum(), axis=1)))
    real, other = spectra
    expected = np.linalg.norm(real - other) / np.linalg.norm(real) + np.abs(np.log(real) - np.log(other)).mean()
    found = float(make(32, weight=1.0, wave_weight=0.0).loss(made, x)) / 256
    assert found == pytest.approx(expected, rel=1e-4)
    apart = float(make(32, weight=0.0, wave_weight=2.0).loss(made, x)) / 256
    assert apart == pytest.approx(2 * float((x - made).abs().mean()), rel=1e-5)


def test_a_mask_is_a_slice() -> None:
    likelihood, x, made = make(), waves(0, 2, 1, 300), waves(1, 2, 1, 300)
    mask = torch.arange(300) < torch.tensor([[300], [101]])
    found = likelihood.loss(made, x, mask)
    alone = torch.cat([likelihood.loss(made[:1], x[:1]), likelihood.loss(made[1:, :, :101], x[1:, :, :101])])
    torch.testing.assert_close(found, alone)
    assert likelihood.loss(made, x, torch.zeros_like(mask)).eq(0).all()


def test_gradients_are_finite_in_silence_and_reach_every_sample() -> None:
    likelihood, silence = make(), torch.zeros(1, 1, 128)
    for made, x in ((silence, silence), (silence, waves(0, 1, 1, 128)), (waves(0, 1, 1, 128), silence)):
        leaf = made.clone().requires_grad_()
        likelihood.loss(leaf, x).sum().backward()
        assert torch.isfinite(leaf.grad).all()
    assert leaf.grad.ne(0).all()
    # Relative to nothing, a small noise must not cost without bound.
    assert float(likelihood.loss(1e-3 * waves(0, 1, 1, 128), silence)) / 128 < 10


def test_it_is_no_likelihood_and_its_mode_is_the_wave_within_bounds() -> None:
    likelihood, made = make(), 3 * waves(0, 1, 1, 64)
    assert not isinstance(likelihood, Likelihood)
    assert torch.equal(likelihood.mode(made), made.clamp(-1, 1))
    for windows, weights in (((), {}), ((30,), {}), ((32,), {"weight": -1.0}), ((32,), {"weight": 0.0, "wave_weight": 0.0})):
        with pytest.raises(ConfigError, match="SpectralConfig"):
            SpectralConfig(windows=windows, **weights).build()
    with pytest.raises(DataError, match="Divide it"):
        likelihood.loss(made, torch.zeros(1, 1, 64, dtype=torch.int16))
