"""Second derivatives: right, or an error."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vqvae import CategoricalConfig, EMAQuantizerConfig, GaussianConfig, LogisticMixtureConfig, WaveNetConfig
from vqvae.errors import ConfigError
from vqvae.quantizers.gradient import commitment, pass_gradient


def of_likelihood(config: GaussianConfig | LogisticMixtureConfig | CategoricalConfig) -> Callable[[], Tensor]:
    def loss() -> Tensor:
        likelihood = config.build()
        parameters = torch.zeros(1, likelihood.num_parameters, 2, 2, requires_grad=True)
        return torch.autograd.grad(
            likelihood.log_prob(parameters, torch.zeros(1, config.channels, 2, 2, dtype=torch.uint8)).sum(), parameters, create_graph=True
        )[0]

    return loss


def of_wavenet() -> Tensor:
    prior = WaveNetConfig(codebook_size=4, layers=2, cycle=2, residual=4, skip=4, output_hidden=4).build()
    return torch.autograd.grad(prior.log_prob(torch.zeros(1, 1, 4, dtype=torch.int64)).sum(), prior.wavenet.pairs, create_graph=True)[0]


@pytest.mark.parametrize(
    "ask", [of_likelihood(kind(channels=1)) for kind in (GaussianConfig, LogisticMixtureConfig, CategoricalConfig)] + [of_wavenet]
)
def test_hand_written_derivatives_have_no_second_ones_and_say_so(ask: Callable[[], Tensor]) -> None:
    with pytest.raises(ConfigError, match="create_graph"):
        ask()


def test_the_commitment_term_has_second_derivatives() -> None:
    torch.manual_seed(0)
    latents, vectors = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.randn(5, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: commitment(z, vectors, 4.0), latents)
    assert torch.autograd.gradgradcheck(lambda z: commitment(z, vectors, 4.0), latents)
    z = torch.randn(3, 4, requires_grad=True)
    quantizer = EMAQuantizerConfig(dim=4, codebook_size=8, start_from_data=False).build().eval()
    (gradient,) = torch.autograd.grad(quantizer(z).loss, z, create_graph=True)
    (second,) = torch.autograd.grad(gradient.square().sum(), z)
    torch.testing.assert_close(second, 2 * gradient.detach() * 2 * 0.25 / z.numel())


@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_the_passed_gradient_has_the_derivatives_of_its_definition(gradient: str) -> None:
    torch.manual_seed(0)
    latents, vectors = torch.randn(5, 3, requires_grad=True), torch.randn(5, 3)
    out = pass_gradient(latents, vectors, gradient).pow(3).sum()
    (first,) = torch.autograd.grad(out, latents, create_graph=True)
    torch.testing.assert_close(torch.linalg.vector_norm(first, dim=1) > 0, torch.ones(5, dtype=torch.bool))
    assert torch.equal(torch.func.grad(lambda z: pass_gradient(z, vectors, gradient).pow(3).sum())(latents.detach()), first.detach())
    # In the gradient's own graph the rotation is a constant, and what is cubed is passed on once more.
    assert first.requires_grad == (gradient in ("straight_through", "rotation"))
