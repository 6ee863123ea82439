"""The sum over codes, beside the sum itself on a model with sixteen grids of codes."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from tests.models import toy
from vqvae.codes import LogPrior
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError
from vqvae.evaluation.likelihood.marginal import NearCodes, sum_over_codes
from vqvae.models import VAEConfig, VIMCOConfig, VQVAEConfig
from vqvae.quantizers import FSQConfig, IdentityQuantizerConfig, ResidualQuantizerConfig, VectorQuantizerConfig


def proposal(replaced: tuple[float, ...], size: int = 3) -> NearCodes:
    distances = torch.rand(1, 4, size, generator=torch.Generator().manual_seed(0))
    return NearCodes(distances, distances.argmin(2), replaced)


def grids(size: int = 3) -> Tensor:
    return torch.tensor(list(itertools.product(range(size), repeat=4)))


def log_probs(near: NearCodes, codes: Tensor) -> Tensor:
    return torch.cat([near.log_prob(grid[None]) for grid in codes])


def some_prior(codes: Tensor, condition: Condition = Condition(), mask: Tensor | None = None) -> Tensor:
    table = torch.randn(16, generator=torch.Generator().manual_seed(3)).log_softmax(0)
    return table[codes[:, 0, 0, 0] * 4 + codes[:, 0, 0, 1]]


@pytest.mark.parametrize("replaced", [(1.0,), (0.1, 2.0, 9.0)])
@pytest.mark.parametrize("size", [2, 3])
def test_the_proposal_is_a_distribution_over_all_other_grids(replaced: tuple[float, ...], size: int) -> None:
    near = proposal(replaced, size)
    found = log_probs(near, grids(size))
    own = (grids(size) == near.own).all(1)
    assert (found[own] == -math.inf).all() and torch.isfinite(found[~own]).all()
    torch.testing.assert_close(found.exp().sum(), torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize("replaced", [(1.0,), (0.1, 2.0, 9.0)])
def test_samples_follow_the_proposal(replaced: tuple[float, ...]) -> None:
    near, number = proposal(replaced), 20_000
    distances = torch.rand(1, 4, 3, generator=torch.Generator().manual_seed(0))
    many = NearCodes(distances.expand(number, 4, 3), near.own.expand(number, 4), replaced)
    codes = many.sample(torch.Generator().manual_seed(0))
    counted = torch.bincount((codes * torch.tensor([27, 9, 3, 1])).sum(1), minlength=81).double() / number
    # Five standard errors of a share of so many draws.
    torch.testing.assert_close(counted, log_probs(near, grids()).exp(), rtol=0, atol=5 * 0.5 / number**0.5)


def test_near_codes_are_likelier_than_far_ones() -> None:
    near = NearCodes(torch.tensor([[[0.0, 1.0, 9.0, 2.0]] * 4]), torch.zeros(1, 4, dtype=torch.int64), (1.0,))
    one, three, far, two = (float(near.log_prob(torch.tensor([[code, 0, 0, 0]]))) for code in (1, 3, 2, 3))
    assert one > three > far > -math.inf and two == three
    both = float(near.log_prob(torch.tensor([[1, 1, 0, 0]])))
    assert both < one


@pytest.mark.parametrize("listens", [1.0, 300.0])
@pytest.mark.parametrize("log_prior", [None, some_prior])
def test_the_expected_sum_is_exactly_that_over_all_codes(
    listens: float, log_prior: LogPrior | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each other grid is the one sample of an example of a batch, which is weighted by the probability that it is drawn with."""
    model, drawn = toy.make(VQVAEConfig, listens=listens), []
    others = toy.GRIDS[(model.encode(toy.image())[0] != toy.GRIDS).flatten(1).any(1)]

    def all_of_them(self: NearCodes, generator: torch.Generator | None = None) -> Tensor:
        drawn.append(self.log_prob(others.flatten(1)).exp())
        return others.flatten(1)

    monkeypatch.setattr(NearCodes, "sample", all_of_them)
    found = sum_over_codes(model, toy.image(15), samples=1, log_prior=log_prior)
    with torch.no_grad():
        log_joint = toy.log_joint(model) if log_prior is None else toy.log_joint(model) + 2 * math.log(4) + some_prior(toy.GRIDS)
        own = model.bound(toy.image(), log_prior).nats
    torch.testing.assert_close(found.own, own.expand(15))
    expected = (drawn[0] * found.total.double().exp()).sum()
    torch.testing.assert_close(expected.log(), log_joint.logsumexp(0), rtol=0, atol=1e-4)


@pytest.mark.parametrize("listens", [1.0, 300.0])
def test_the_estimate_lies_between_the_own_codes_and_the_likelihood_and_rises_with_samples(listens: float) -> None:
    model, batch = toy.make(VQVAEConfig, listens=listens), toy.image(300)
    with torch.no_grad():
        exact = float(toy.log_likelihood(model))
    found = [sum_over_codes(model, batch, samples=samples, generator=torch.Generator().manual_seed(0)) for samples in (1, 16, 256)]
    assert all((marginal.total >= marginal.own).all() for marginal in found)
    means = [float(marginal.total.mean()) for marginal in found]
    errors = [5 * float(marginal.total.std()) / 300**0.5 for marginal in found]
    assert float(found[0].own[0]) < means[0] < means[1] < means[2] < exact + errors[2]
    assert means[2] == pytest.approx(exact, abs=0.1 * (exact - float(found[0].own[0])))


def test_the_own_codes_of_a_rated_model_are_those_that_it_chooses() -> None:
    model = toy.make(VQVAEConfig, rated=True)
    nearest = model.encode(toy.image())[0]
    model.rate.fill_(1e3)[0, (nearest.max() + 1) % toy.SIZE] = 0
    assert not torch.equal(model.encode(toy.image())[0], nearest)
    found = sum_over_codes(model, toy.image(), samples=2)
    torch.testing.assert_close(found.own, model.bound(toy.image()).nats.detach())


def test_draws_are_those_of_the_generator() -> None:
    model, batch = toy.make(VQVAEConfig, listens=300.0), toy.image(3)
    first, again, other = (sum_over_codes(model, batch, samples=2, generator=torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first.total, again.total) and not torch.equal(first.total, other.total)
    torch.manual_seed(4)
    first = sum_over_codes(model, batch, samples=2)
    torch.manual_seed(4)
    assert torch.equal(first.total, sum_over_codes(model, batch, samples=2).total)
    assert sum_over_codes(model, Batch(batch.x[:0]), samples=2).total.shape == (0,)


def test_what_has_no_other_codes_is_refused() -> None:
    for kind in (VAEConfig, VIMCOConfig):
        with pytest.raises(ConfigError, match=r"(VAE|VIMCO) has no codebook whose codes could be replaced. Use a VQVAE"):
            sum_over_codes(toy.make(kind), toy.image(), samples=1)
    single = toy.make(VQVAEConfig, quantizer=VectorQuantizerConfig(dim=3, codebook_size=1))
    with pytest.raises(ConfigError, match="at least 2"):
        sum_over_codes(single, toy.image(), samples=1)
    for quantizer in (
        IdentityQuantizerConfig(dim=3),
        FSQConfig(dim=3, levels=(3, 3, 3)),
        ResidualQuantizerConfig(dim=3, codebook_size=3, num_codebooks=2),
    ):
        with pytest.raises(ConfigError, match=r"(Identity|FSQ|Residual)\w* has no codebook whose codes could be replaced"):
            sum_over_codes(toy.make(VQVAEConfig, quantizer=quantizer), toy.image(), samples=1)
    model = toy.make(VQVAEConfig)
    with pytest.raises(ConfigError, match="samples"):
        sum_over_codes(model, toy.image(), samples=0)
    with pytest.raises(ConfigError, match="replaced"):
        sum_over_codes(model, toy.image(), samples=1, replaced=(0.0,))
