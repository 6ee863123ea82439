"""The VQ-VAE as a whole, on small random images."""

import math

import pytest
import torch

from tests.models import toy
from vqvae.data.base import Batch
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAE, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import EMAQuantizerConfig, IdentityQuantizerConfig, ProductQuantizerConfig, VectorQuantizerConfig

QUANTIZERS = [
    EMAQuantizerConfig(dim=8, codebook_size=16),
    VectorQuantizerConfig(dim=8, codebook_size=16),
    ProductQuantizerConfig(dim=8, codebook_size=16, num_codebooks=4),
]


def make(quantizer: object = QUANTIZERS[0], levels: int = 2) -> VQVAE:
    torch.manual_seed(0)
    widths = (8,) * levels
    return VQVAEConfig(
        quantizer=quantizer,
        likelihood=GaussianConfig(),
        encoder=ImageEncoderConfig(widths=widths, residual_hidden=8, residual_blocks=1),
        decoder=ImageDecoderConfig(widths=widths, residual_hidden=8, residual_blocks=1),
    ).build()


def images(*size: int) -> Batch:
    return Batch(torch.randint(0, 256, (3, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda q: type(q).__name__)
@pytest.mark.parametrize("size", [(16, 24), (17, 22), (3, 5)])
def test_any_size_there_and_back(quantizer: object, size: tuple[int, int]) -> None:
    model = make(quantizer).eval()
    (codes,) = model.encode(images(*size))
    assert codes.shape == (3, model.quantizer.num_codebooks, -(-size[0] // 4), -(-size[1] // 4))
    decoded = model.decode((codes,), size=size)
    assert decoded.shape == (3, 3, *size)
    assert decoded.dtype == torch.uint8


def test_elbo_is_the_likelihood_plus_the_prior() -> None:
    model = make(QUANTIZERS[2]).eval()
    batch = images(16, 16)
    codes = model.encode(batch)
    likelihood = model.log_likelihood(batch, codes)
    torch.testing.assert_close(model.elbo(batch), likelihood - 4 * 4 * 4 * math.log(16))
    torch.testing.assert_close(
        model.elbo(batch, lambda z, condition, mask: -z.flatten(1).sum(1).float()), likelihood - codes[0].flatten(1).sum(1)
    )


@pytest.mark.parametrize("quantizer", QUANTIZERS, ids=lambda q: type(q).__name__)
def test_every_parameter_learns(quantizer: object) -> None:
    model = make(quantizer)
    model(images(16, 16)).loss.backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_training_lowers_the_objective() -> None:
    model = make()
    batch = Batch((torch.arange(16).view(1, 1, 16, 1) * 15).expand(4, 3, 16, 16).to(torch.uint8))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        losses.append(model(batch).loss)
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0] - 0.5


def test_start_takes_the_codebook_from_several_batches_once() -> None:
    model = make()
    model.start([images(16, 16), images(8, 8)])
    assert model.quantizer.started
    before = model.quantizer.codebook.clone()
    model.start([images(12, 12)])
    assert torch.equal(before, model.quantizer.codebook)


@pytest.mark.parametrize("axis", [0, 1])
def test_encoder_and_decoder_see_no_farther_than_their_context(axis: int) -> None:
    model = make(levels=2).double()
    x = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        model.quantizer.eval()
        model.encoder.float()
        before = model.encoder(x)
        changed = x.clone()
        index = [slice(None)] * 4
        index[2 + axis] = slice(0, 32 - model.encoder.context[axis])
        changed[tuple(index)] = 255 - changed[tuple(index)]
        after = model.encoder(changed)
        first = 32 // 4
        assert torch.equal(before.narrow(2 + axis, first, 8), after.narrow(2 + axis, first, 8))
        assert not torch.equal(before.narrow(2 + axis, first - 1, 1), after.narrow(2 + axis, first - 1, 1))


@torch.no_grad()
@pytest.mark.parametrize("listens", [1.0, 300.0])
def test_the_bound_is_the_term_of_its_own_codes_in_the_sum_over_all(listens: float) -> None:
    model = toy.make(VQVAEConfig, listens=listens)
    (codes,) = model.encode(toy.image())
    own = (codes == toy.GRIDS).flatten(1).all(1)
    log_joint = toy.log_joint(model)
    bound = float(model.bound(toy.image()).nats)
    assert bound == pytest.approx(float(log_joint[own]), abs=1e-4)
    # log p(x) exceeds it by -log p(z_q|x): at most the N log K nats of a decoder that does not listen, if no grid does better.
    excess = float(log_joint.logsumexp(0)) - bound
    assert excess == pytest.approx(-float(log_joint.log_softmax(0)[own]), abs=1e-4)
    assert excess > 0


@torch.no_grad()
def test_with_a_constant_encoder_and_a_decoder_that_ignores_codes_every_code_costs_log_k_for_nothing() -> None:
    model = toy.make(VQVAEConfig)
    toy.last(model.encoder).weight.zero_()
    model.quantizer.codebook.zero_()
    bound = model.bound(toy.image(3))
    torch.testing.assert_close(bound.log_likelihood - bound.nats, torch.full((3,), 2 * math.log(4)))
    # Every term of the sum is the same: the bound misses the likelihood by all that the codes cost.
    assert float(toy.log_likelihood(model)) - float(bound.nats[0]) == pytest.approx(2 * math.log(4), abs=1e-4)


def test_without_codes_there_is_no_bound() -> None:
    with pytest.raises(ConfigError, match="IdentityQuantizer has no codes, so there is no bound"):
        make(IdentityQuantizerConfig(dim=8)).bound(images(8, 8))


def test_wrong_input_is_an_error() -> None:
    model = make()
    with pytest.raises(DataError, match="mask"):
        model(images(16, 16)._replace(mask=torch.ones(3, 16, 16, dtype=torch.bool)))
    with pytest.raises(DataError, match="shape"):
        model(Batch(torch.zeros(2, 3, 16, dtype=torch.uint8)))
    with pytest.raises(DataError, match="that many channels"):
        model(Batch(torch.zeros(2, 1, 16, 16, dtype=torch.uint8)))
    with pytest.raises(DataError, match="; expected "):
        model.decode((torch.zeros(1, 1, 2, 2, dtype=torch.int64),), size=(9, 9))
    with pytest.raises(ConfigError, match="stride"):
        VQVAEConfig(quantizer=QUANTIZERS[0], likelihood=GaussianConfig(), encoder=ImageEncoderConfig(widths=(8,))).build()


def test_a_rated_model_chooses_by_distance_and_cost_wherever_it_chooses() -> None:
    plain, rated = toy.make(VQVAEConfig), toy.make(VQVAEConfig, rated=True)
    assert "rate" not in plain.state_dict() and torch.equal(rated.encode(toy.image())[0], plain.encode(toy.image())[0])
    cheapest = (plain.encode(toy.image())[0].max() + 1) % toy.SIZE
    rated.rate.fill_(1e3)[0, cheapest] = 0
    codes = torch.full_like(plain.encode(toy.image())[0], int(cheapest))
    again = toy.make(VQVAEConfig, rated=True)
    again.load_state_dict(rated.state_dict())
    assert torch.equal(again.encode(toy.image())[0], codes)
    with torch.no_grad():
        expected = plain.log_likelihood(toy.image(), (codes,))
        torch.testing.assert_close(again.bound(toy.image()).log_likelihood, expected)
        torch.testing.assert_close(again(toy.image()).metrics["nats_per_dim"], -again.bound(toy.image()).nats.mean() / 8)


def test_training_shows_the_psnr_of_the_scores() -> None:
    model, batch = make().eval(), images(16, 16)
    psnrs = psnr(batch.x, model.reconstruct(batch, model.encode(batch)).x)
    assert model(batch).metrics["psnr"].item() == pytest.approx(psnrs.mean().item(), abs=0.01)
    assert not model.train()(batch).metrics["psnr"].requires_grad


def test_a_mean_that_costs_time_is_taken_where_it_is_asked_for() -> None:
    model, batch = toy.make(VQVAEConfig), toy.image(2)
    assert "psnr" not in model(batch).metrics
    with torch.no_grad():
        assert "psnr" in model(batch).metrics
    model.shows_error = True
    assert "psnr" in model(batch).metrics
