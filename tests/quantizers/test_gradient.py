"""Gradients through the choice of a code, beside autograd."""

import pytest
import torch

from tests.contracts.test_quantizers import make
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.quantizers.gradient import Gradient, commitment, pass_gradient


def pair(rows: int = 5, dim: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents, vectors and what the decoder's gradient might be, in float64."""
    drawn = torch.randn(3, rows, dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return drawn[0].requires_grad_(), drawn[1].requires_grad_(), drawn[2]


@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_the_vectors_come_bit_for_bit_and_get_no_gradient(gradient: Gradient) -> None:
    latents, vectors, grad = pair()
    passed = pass_gradient(latents, vectors, gradient)
    assert torch.equal(passed, vectors)
    passed.backward(grad)
    assert vectors.grad is None
    assert torch.equal(latents.grad, grad) == (gradient == "straight_through")


def test_rotation_keeps_the_angle_between_gradient_and_latent() -> None:
    """The gradient stands to the latent as the decoder's does to the vector, and is scaled by their lengths [arXiv 2410.06424]."""
    latents, vectors, grad = pair()
    pass_gradient(latents, vectors, "rotation").backward(grad)
    scale = vectors.norm(dim=1) / latents.norm(dim=1)
    torch.testing.assert_close(latents.grad.norm(dim=1), scale * grad.norm(dim=1))
    cosine = torch.nn.functional.cosine_similarity
    torch.testing.assert_close(cosine(latents.grad, latents), cosine(grad, vectors))


@pytest.mark.parametrize("count", [15.0, torch.tensor(7.0, dtype=torch.float64)])
def test_commitment_beside_autograd(count: float | torch.Tensor) -> None:
    latents, vectors, _ = pair()
    loss = commitment(latents, vectors, count)
    plain = latents.detach().clone().requires_grad_()
    expected = (plain - vectors.detach()).square().sum() / count
    torch.testing.assert_close(loss, expected)
    (3 * loss).backward()
    (3 * expected).backward()
    torch.testing.assert_close(latents.grad, plain.grad)
    assert vectors.grad is None


@pytest.mark.parametrize("dim", [1, 4])
def test_rotation_is_finite_at_the_origin_and_for_opposite_vectors(dim: int) -> None:  # [22]
    quantizer = make(EMAQuantizerConfig, dim=dim, codebook_size=2, gradient="rotation").eval()
    quantizer.codebook[0, 0], quantizer.codebook[0, 1] = 1.0, 3.0
    for z in (torch.zeros(1, dim), -torch.ones(1, dim), torch.full((1, dim), 1e-30)):
        z.requires_grad_()
        out = quantizer(z)
        assert torch.equal(out.vectors, torch.ones(1, dim))
        out.vectors.sum().backward()
        assert torch.isfinite(z.grad).all()
        assert z.grad.norm() < 10
