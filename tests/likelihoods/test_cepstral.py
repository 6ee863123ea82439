"""The distance of cepstra: 0 for what is told right, masks as slices, no density, and models in which it trains and decodes."""

import pytest
import torch

from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.cepstra import Cepstra, CepstraConfig
from vqvae.likelihoods import CepstralConfig, Likelihood, SpectralConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.models.streaming import decode_stream
from vqvae.networks import CepstralDecoderConfig, CepstralEncoderConfig
from vqvae.quantizers import EMAQuantizerConfig

SMALL = CepstraConfig(rate=4000, window=40, hop=16, mels=5, coefficients=4)
DISTANCE = CepstralConfig(cepstra=SMALL).build()


def waves(batch: int, time: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(batch, 1, time, generator=torch.Generator().manual_seed(seed)).clamp(-5, 5)


def make() -> VQVAE:
    torch.manual_seed(0)
    return VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=12, codebook_size=8, start_from_data=False),
        likelihood=CepstralConfig(cepstra=SMALL),
        encoder=CepstralEncoderConfig(cepstra=SMALL, width=6),
        decoder=CepstralDecoderConfig(stride=64, width=6),
    ).build()


def test_it_is_the_mean_squared_difference_of_features() -> None:
    x = waves(2, 640)
    features = Cepstra(SMALL)(x[:, 0])
    assert DISTANCE.loss(features, x).eq(0).all() and DISTANCE.num_parameters == 12 and DISTANCE.hop == 64
    found = DISTANCE.loss(features + torch.tensor([0.5, 2.0]).view(2, 1, 1), x)
    torch.testing.assert_close(found, 640 * torch.tensor([0.25, 4.0]))
    assert not isinstance(DISTANCE, Likelihood)


def test_a_mask_is_a_slice() -> None:
    x, told = waves(2, 630), torch.randn(2, 12, 10, generator=torch.Generator().manual_seed(1))
    mask = torch.arange(630) < torch.tensor([[630], [200]])
    found = DISTANCE.loss(told, x, mask)
    alone = torch.cat([DISTANCE.loss(told[:1], x[:1]), DISTANCE.loss(told[1:, :, :4], x[1:, :, :200])])
    # Silence after a wave does not count as a neighbour of its last moment, but sound does.
    torch.testing.assert_close(found[0], alone[0])
    torch.testing.assert_close(found[1], alone[1], rtol=0.1, atol=0)
    assert DISTANCE.loss(told, x, torch.zeros_like(mask)).eq(0).all()


def test_a_model_trains_with_it_and_decodes_to_any_size() -> None:
    model, x = make().train(), waves(4, 630)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        objective = model(Batch(x))
        optimizer.zero_grad()
        objective.loss.backward()
        optimizer.step()
        losses.append(float(objective.metrics["distance_per_dim"]))
    assert losses[-1] < 0.8 * losses[0]
    model.eval()
    codes = model.encode(Batch(x))
    assert codes[0].shape == (4, 1, 10) and model.decode(codes).shape == (4, 1, 640)
    whole = model.decode(codes, size=(630,))
    assert whole.shape == (4, 1, 630) and torch.equal(whole, model.decode(codes, temperature=0.7, size=(630,)))
    made = model.reconstruct(Batch(x), codes)
    assert made.log_likelihood is None and torch.equal(made.x, whole), "of the size of the data, whatever the moments are"
    pieces = list(decode_stream(model, iter(codes[0].split(3, 2)), Condition()))
    torch.testing.assert_close(torch.cat(pieces, 2)[..., :630], whole)


def test_what_does_not_belong_together_is_an_error() -> None:
    x, told = waves(2, 640), torch.zeros(2, 12, 10)
    for other in (torch.zeros(2, 12, 9), torch.zeros(1, 12, 10)):
        with pytest.raises(DataError, match="one moment per 64 samples"):
            DISTANCE.loss(other, x)
    with pytest.raises(DataError, match=r"The mask is torch.bool of the shape \(2, 639\); expected torch.bool \(2, 640\)"):
        DISTANCE.loss(told, x, torch.ones(2, 639, dtype=torch.bool))
    config = make().config
    with pytest.raises(ConfigError, match="for every 64 positions of the data, but Spectral takes them for every 1"):
        VQVAEConfig(quantizer=config.quantizer, likelihood=SpectralConfig(), encoder=config.encoder, decoder=config.decoder).build()
