"""An encoder that begins as mel cepstra, and a decoder in which every code stands alone."""

import pytest
import torch

from vqvae.data.base import Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.cepstra import Cepstra, CepstraConfig
from vqvae.networks import CepstralDecoderConfig, CepstralEncoder, CepstralEncoderConfig
from vqvae.signals import pictures, sound

SMALL = CepstraConfig(rate=4000, window=40, hop=16, mels=5, coefficients=4)


def make(dim: int) -> CepstralEncoder:
    torch.manual_seed(0)
    return CepstralEncoderConfig(cepstra=SMALL, width=6).build(sound(), dim).eval()


def wave(time: int) -> torch.Tensor:
    return 0.1 * torch.randn(2, 1, time, generator=torch.Generator().manual_seed(1)).clamp(-5, 5)


def test_latents_begin_as_the_features() -> None:
    x = wave(10 * 64)
    features = Cepstra(SMALL)(x[:, 0])
    assert torch.equal(make(12)(x), features)
    # As many channels as there are; the others wait for the network.
    torch.testing.assert_close(make(5)(x), features[:, :5])
    assert make(14)(x)[:, 12:].eq(0).all()
    assert make(12).context[0] > 10**12, "no stream is encoded before its end"


def test_every_parameter_of_the_encoder_learns() -> None:
    model, x = make(12).train(), wave(20 * 64)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(2):  # What is before weights of 0 has no gradient at first.
        optimizer.zero_grad()
        (model(x) - 1).square().mean().backward()
        optimizer.step()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_a_vector_says_all_of_its_moment_and_nothing_of_others() -> None:
    torch.manual_seed(0)
    model, vectors = CepstralDecoderConfig(stride=64, width=8, speakers=2).build(3, 12), torch.randn(2, 3, 7)
    first, second = Condition(label=torch.tensor([0, 0])), Condition(label=torch.tensor([1, 0]))
    found = model(vectors, first)
    assert found.shape == (2, 12, 7) and (model.stride, model.hop) == ((64,), 64)
    other = vectors.clone()
    other[:, :, 3] += 1
    assert (model(other, first) != found).any(1)[0].tolist() == [False] * 3 + [True] + [False] * 3
    assert (model(vectors, second) != found).flatten(1).any(1).tolist() == [True, False]
    with pytest.raises(DataError, match="is missing"):
        model(vectors)
    found.square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_wrong_settings_and_input_are_errors() -> None:
    with pytest.raises(ConfigError, match="CepstralEncoderConfig.width is 0; it must be at least 1"):
        CepstralEncoderConfig(width=0).build(sound(), 12)
    for config in (CepstralDecoderConfig(width=0), CepstralDecoderConfig(stride=0)):
        with pytest.raises(ConfigError, match="is 0; it must be at least 1"):
            config.build(1, 12)
    with pytest.raises(ConfigError, match="with 3 channels; sound is .* with one"):
        CepstralEncoderConfig().build(pictures(), 12)
    with pytest.raises(DataError, match="Divide it by 32768"):
        make(12)(torch.zeros(1, 1, 64, dtype=torch.int16))
