"""A PixelCNN over maps of codes: what a prior and a decoder of codes share."""

import pytest
import torch

from vqvae.layers import code_pixelcnn
from vqvae.layers.autoregressive import sample
from vqvae.priors import PixelCNN, PixelCNNConfig


def pixelcnn(books: int) -> PixelCNN:
    torch.manual_seed(0)
    return PixelCNNConfig(codebook_size=5, num_codebooks=books, layers=2, hidden=8, output_hidden=8).build().eval()


@pytest.mark.parametrize("books", [1, 3])
def test_steps_give_the_logits_of_the_whole(books: int) -> None:
    model, codes = pixelcnn(books), torch.randint(0, 5, (2, books, 3, 4))
    state, total, last = model.start(2, (3, 4)), torch.zeros(2), None
    # In raster order, codebook fastest.
    for code in codes.flatten(2).transpose(1, 2).flatten(1).unbind(1):
        logits, state = model.step(last, state)
        total += logits.log_softmax(-1).gather(1, code[:, None])[:, 0]
        last = code
    torch.testing.assert_close(total, model.log_prob(codes).detach(), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("books", [1, 3])
def test_the_kernel_draws_what_the_loop_draws(books: int) -> None:
    pytest.importorskip("numba")
    model = pixelcnn(books)
    uniforms = torch.rand(2, 12 * books, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        loop, kernel = (sample(model, 2, (3, 4), uniforms=uniforms, compiled=compiled) for compiled in (False, True))
    assert torch.equal(loop, kernel) and len(loop.unique()) > 1


@pytest.mark.parametrize("threads", [1, 2])
def test_an_example_is_drawn_as_if_it_were_alone(threads: int) -> None:
    pytest.importorskip("numba")
    model, count = pixelcnn(3), 2 * code_pixelcnn.TOGETHER + 3
    generator = torch.Generator().manual_seed(1)
    uniforms = torch.rand(count, 36, dtype=torch.float64, generator=generator)
    known = torch.randint(-3, 5, (count, 3, 3, 4), generator=generator).clamp(min=-1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = sample(model, count, (3, 4), uniforms=uniforms, prefix=known, compiled=True)
        alone = [sample(model, 1, (3, 4), uniforms=uniforms[i, None], prefix=known[i, None], compiled=True) for i in range(count)]
    finally:
        torch.set_num_threads(before)
    assert torch.equal(together, torch.cat(alone)) and torch.equal(together[known >= 0], known[known >= 0])
    assert torch.equal(together, sample(model, count, (3, 4), uniforms=uniforms, prefix=known, compiled=False))
