"""A VQ-VAE whose data are codes and whose decoder is autoregressive: a second stage."""

import math

import pytest
import torch

from vqvae.codes import Level
from vqvae.data.base import Batch
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import CategoricalCodesConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import CodesDecoderConfig, CodesEncoderConfig
from vqvae.quantizers import ProductQuantizerConfig

K, SPACE = 5, (4, 6)


def make(**changes: object) -> VQVAE:
    torch.manual_seed(0)
    settings = {
        "quantizer": ProductQuantizerConfig(dim=12, codebook_size=8, num_codebooks=3),
        "likelihood": CategoricalCodesConfig(codebook_size=K),
        "encoder": CodesEncoderConfig(codebook_size=K, space=SPACE, hidden=8, widths=(16,), residual_blocks=1, residual_hidden=8),
        "decoder": CodesDecoderConfig(codebook_size=K, space=SPACE, layers=2, hidden=8, kernel=3, output_hidden=8),
    }
    return VQVAEConfig(**{**settings, **changes}).build()


def patterns(count: int = 32) -> Batch:
    """One number an image says all: every code follows from it and from its place, but none from the codes before it alone."""
    number = torch.randint(K, (count, 1, 1, 1), generator=torch.Generator().manual_seed(1))
    place = torch.arange(SPACE[0] * SPACE[1]).view(1, 1, *SPACE)
    return Batch((number + place * place) % K)


def test_the_layout_is_three_codes_an_image() -> None:
    model = make().eval()
    assert model.layout == (Level(3, 8, SPACE),)
    (codes,) = model.encode(patterns(4))
    assert codes.shape == (4, 3, 1, 1)


def test_the_bound_is_the_teacher_forced_likelihood_less_the_codes() -> None:
    model, batch = make().eval(), patterns(4)
    codes = model.encode(batch)
    logits = model.decoder(model.quantizer.decode(codes[0]), batch.condition, batch.x)
    expected = torch.distributions.Categorical(logits=logits.movedim(1, -1)).log_prob(batch.x[:, 0]).flatten(1).sum(1)
    torch.testing.assert_close(model.log_likelihood(batch, codes), expected)
    torch.testing.assert_close(model.elbo(batch), expected - 3 * math.log(8))


def test_a_trained_second_stage_draws_what_the_codes_say() -> None:
    model, batch = make(), patterns()
    model.start([batch])
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        losses.append(model.train()(batch).loss)
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.3 * losses[0]
    model.eval()
    codes = model.encode(batch)
    for temperature in (0.0, 1.0):
        drawn = model.decode(codes, generator=torch.Generator().manual_seed(0), temperature=temperature)
        # A fifth would be right by chance.
        assert drawn.dtype == torch.int64 and (drawn == batch.x).float().mean() > 0.7
    again = model.decode(codes, generator=torch.Generator().manual_seed(0), temperature=1.0)
    assert torch.equal(again, drawn)
    made = model.reconstruct(batch, codes)
    assert torch.equal(made.x, model.decode(codes))
    torch.testing.assert_close(made.log_likelihood, model.log_likelihood(batch, codes))


def test_every_parameter_learns() -> None:
    model = make()
    model(patterns()).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_parts_that_do_not_fit_and_maps_of_another_size_are_errors() -> None:
    with pytest.raises(ConfigError, match="not a multiple"):
        make(likelihood=CategoricalCodesConfig(codebook_size=K + 1))
    with pytest.raises(ConfigError, match="stride"):
        make(encoder=CodesEncoderConfig(codebook_size=K, space=(4, 5), widths=(8,)))
    model = make().eval()
    with pytest.raises(DataError, match=r"expected \(4, 6\)"):
        model.elbo(Batch(torch.zeros(1, 1, 3, 6, dtype=torch.int64)))
    with pytest.raises(DataError, match="; expected "):
        model.decode((torch.zeros(1, 3, 1, 1, dtype=torch.int64),), size=(5, 6))
