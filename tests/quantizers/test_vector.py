"""The codebook that learns by gradient."""

import torch

from tests.contracts.test_quantizers import DIM, SIZE, latents, make
from vqvae.quantizers import VectorQuantizerConfig


def test_codebook_gradient_is_twice_the_difference_over_the_entries() -> None:  # [9]
    quantizer = make(VectorQuantizerConfig)
    z = latents(2, DIM, 3)
    out = quantizer(z)
    out.loss.backward()
    rows, codes = z.movedim(1, -1).reshape(-1, DIM), out.codes.reshape(-1)
    expected = torch.zeros(SIZE, DIM)
    for row, code in zip(rows, codes, strict=True):
        expected[code] += 2 * (quantizer.codebook.detach()[0, code] - row) / rows.numel()
    torch.testing.assert_close(quantizer.codebook.grad[0], expected)
    unused = torch.bincount(codes, minlength=SIZE) == 0
    assert unused.any()
    assert (quantizer.codebook.grad[0][unused] == 0).all()
    assert (quantizer.codebook.grad[0][~unused] != 0).any()


def test_revival_keeps_the_parameter_that_the_optimizer_holds() -> None:
    quantizer = make(VectorQuantizerConfig, revive_after=1)
    held = quantizer.codebook
    optimizer = torch.optim.SGD(quantizer.parameters(), lr=1.0)
    for step in range(3):
        optimizer.zero_grad()
        quantizer.train()(latents(2, DIM, 3, seed=step)).loss.backward()
    assert quantizer.codebook is held and optimizer.param_groups[0]["params"][0] is held
    before = held.detach().clone()
    optimizer.step()
    hit = (held.grad[0] != 0).any(1)
    assert hit.any() and not torch.equal(held[0, hit], before[0, hit]) and torch.equal(held[0, ~hit], before[0, ~hit])
