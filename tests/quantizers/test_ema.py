"""The EMA quantizer beside an independent implementation."""

import pytest
import torch
from vector_quantize_pytorch import VectorQuantize

from vqvae.errors import ConfigError
from vqvae.quantizers import EMAQuantizerConfig


def test_fifty_steps_beside_vector_quantize_pytorch() -> None:
    """Same start, same data, revival and rotation off on both sides: the same codes and the same codebook."""
    torch.manual_seed(0)
    dim, size = 16, 64
    ours = EMAQuantizerConfig(dim=dim, codebook_size=size, decay=0.99, start_from_data=False).build()
    theirs = VectorQuantize(
        dim=dim,
        codebook_size=size,
        decay=0.99,
        eps=1e-10,
        commitment_weight=0.25,
        rotation_trick=False,
        threshold_ema_dead_code=0,
        kmeans_init=False,
    )
    ours.codebook[0] = torch.randn(size, dim)
    ours.sums.copy_(ours.codebook)
    theirs._codebook.embed.data.copy_(ours.codebook)
    theirs._codebook.embed_avg.data.copy_(ours.codebook)
    theirs._codebook.cluster_size.data.copy_(ours.counts)
    for step in range(50):
        z = torch.randn(4, dim, 30) * (1 + 0.02 * step)
        a, b = z.clone().requires_grad_(), z.clone().requires_grad_()
        out = ours(a)
        vectors, codes, loss = theirs(b.transpose(1, 2))
        assert torch.equal(out.codes[:, 0], codes)
        torch.testing.assert_close(out.vectors, vectors.transpose(1, 2), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(out.loss, loss.squeeze(), rtol=1e-5, atol=1e-6)
        (out.vectors.square().mean() + out.loss).backward()
        (vectors.square().mean() + loss.squeeze()).backward()
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours.codebook, theirs._codebook.embed, rtol=0, atol=1e-5)
    assert (ours.codebook - theirs._codebook.embed).abs().max() < 1e-5


def test_a_decay_outside_its_range_is_an_error() -> None:
    for decay in (1.0, -0.1):
        with pytest.raises(ConfigError, match="decay"):
            EMAQuantizerConfig(dim=2, codebook_size=2, decay=decay).build()
