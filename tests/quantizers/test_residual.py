"""Several codebooks one after the other, beside an implementation of its own in float64."""

import copy

import pytest
import torch
from torch import nn

from tests.contracts.test_quantizers import CODEBOOK, DIM, SIZE, latents, make, state
from vqvae.codes import perplexity
from vqvae.errors import ConfigError, DataError
from vqvae.quantizers import EMAQuantizerConfig, ResidualQuantizer, ResidualQuantizerConfig, VectorQuantizerConfig


class Reference:
    """Residual quantization of rows (rows, dim) with running means, in float64 and by loops."""

    def __init__(self, quantizer: ResidualQuantizer, decay: float) -> None:
        self.books = quantizer.codebook.detach().double()
        self.counts, self.sums, self.decay = torch.ones(self.books.shape[:2], dtype=torch.float64), self.books.clone(), decay

    def step(self, rows: torch.Tensor, beta: float = 0.25) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Vectors, codes, the loss and its gradient; then the codebooks move."""
        residual, total, codes = rows.double(), torch.zeros_like(rows, dtype=torch.float64), []
        loss, gradient = 0.0, torch.zeros_like(total)
        seen = []
        for book in self.books:
            code = torch.stack([(row - book).square().sum(1).argmin() for row in residual])
            seen.append((residual, code))
            residual = residual - book[code]
            total = total + book[code]
            loss = loss + beta * residual.square().mean() / len(self.books)
            gradient = gradient + 2 * beta * residual / residual.numel() / len(self.books)
            codes.append(code)
        for number, (rows_, code) in enumerate(seen):
            for k in range(len(self.books[number])):
                hit = rows_[code == k]
                self.counts[number, k] = self.decay * self.counts[number, k] + (1 - self.decay) * len(hit)
                self.sums[number, k] = self.decay * self.sums[number, k] + (1 - self.decay) * hit.sum(0)
                if len(hit):
                    self.books[number, k] = self.sums[number, k] / self.counts[number, k]
        return total, torch.stack(codes, 1), loss, gradient


def errors(quantizer: ResidualQuantizer, z: torch.Tensor) -> list[float]:
    """The mean squared error of the vectors of the first codebook alone, of the first two, and so on."""
    codes, total, found = quantizer.eval()(z).codes, torch.zeros_like(z), []
    for part, code in zip(quantizer.parts, codes.split(1, 1), strict=True):
        total = total + part.decode(code)
        found.append((total - z).square().mean().item())
    return found


@pytest.mark.parametrize("seed", [0, 1])
def test_ten_steps_beside_float64(seed: int) -> None:
    quantizer = make(ResidualQuantizerConfig, seed=seed, decay=0.9).train()
    expected = Reference(quantizer, decay=0.9)
    for step in range(10):
        z = latents(2, DIM, 20, seed=100 * seed + step).requires_grad_()
        out = quantizer(z)
        vectors, codes, loss, gradient = expected.step(z.detach().movedim(1, -1).reshape(-1, DIM))
        assert torch.equal(out.codes.movedim(1, -1).reshape(-1, 3), codes)
        torch.testing.assert_close(out.vectors.movedim(1, -1).reshape(-1, DIM).double(), vectors, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(out.loss.double(), loss, rtol=1e-5, atol=0)
        out.loss.backward()
        torch.testing.assert_close(z.grad.movedim(1, -1).reshape(-1, DIM).double(), gradient, rtol=1e-4, atol=1e-8)
        torch.testing.assert_close(quantizer.codebook.double(), expected.books, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(quantizer.counts.double(), expected.counts, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("learning", ["ema", "gradient"])
@pytest.mark.parametrize("gradient", ["straight_through", "rotation"])
def test_one_codebook_is_the_plain_quantizer(learning: str, gradient: str) -> None:
    residual = make(ResidualQuantizerConfig, num_codebooks=1, learning=learning, gradient=gradient, revive_after=2)
    plain = make(EMAQuantizerConfig if learning == "ema" else VectorQuantizerConfig, gradient=gradient, revive_after=2)
    plain.load_state_dict(residual.parts[0].state_dict())
    for step in range(4):
        a, b = (latents(2, DIM, 5, seed=step).requires_grad_() for _ in range(2))
        torch.manual_seed(step)
        out = residual(a)
        torch.manual_seed(step)
        alone = plain(b)
        (out.vectors.square().sum() + out.loss).backward()
        (alone.vectors.square().sum() + alone.loss).backward()
        for ours, theirs in zip((*out, a.grad), (*alone, b.grad), strict=True):
            assert torch.equal(ours, theirs)
    assert torch.equal(residual.codebook, plain.codebook)


def test_every_codebook_is_as_wide_as_the_latents() -> None:
    quantizer = make(ResidualQuantizerConfig, dim=6, num_codebooks=4)
    assert quantizer.codebook.shape == quantizer.sums.shape == (4, SIZE, 6) and quantizer.counts.shape == (4, SIZE)


@pytest.mark.parametrize("learning", ["ema", "gradient"])
def test_every_level_draws_the_latents_while_the_decoders_gradient_passes_once(learning: str) -> None:  # [10]
    """The commitment term of one level at a time: the others are taken off by a weight of 0."""
    z = latents(2, DIM, 20).requires_grad_()
    for level in range(3):
        quantizer = make(ResidualQuantizerConfig, learning=learning)
        before = copy.deepcopy(quantizer.parts)
        for other, part in enumerate(quantizer.parts):
            part.commitment_cost = 0.25 * (other == level)
        out = quantizer(z)
        left = z.detach() - sum(before[i].decode(out.codes[:, [i]]) for i in range(level + 1))
        (slope,) = torch.autograd.grad(out.loss, z, retain_graph=True)
        torch.testing.assert_close(slope, 0.5 * left / left.numel() / 3, rtol=1e-4, atol=1e-8)
        assert (slope != 0).all()
        grad = latents(2, DIM, 20, seed=5)
        assert torch.equal(torch.autograd.grad(out.vectors, z, grad)[0], grad)


def test_codebooks_learn_by_gradient_from_their_own_residuals() -> None:  # [9]
    quantizer = make(ResidualQuantizerConfig, learning="gradient")
    z = latents(2, DIM, 20)
    out = quantizer(z)
    out.loss.backward()
    residual = z.movedim(1, -1).reshape(-1, DIM)
    for part, code in zip(quantizer.parts, out.codes.movedim(1, -1).reshape(-1, 3).T, strict=True):
        book = part.codebook.detach()[0]
        expected = torch.zeros(SIZE, DIM).index_add_(0, code, 2 * (book[code] - residual) / residual.numel() / 3)
        torch.testing.assert_close(part.codebook.grad[0], expected, rtol=1e-4, atol=1e-8)
        residual = residual - book[code]


def test_codebooks_start_one_after_the_other_on_residuals() -> None:
    quantizer = make(ResidualQuantizerConfig, start_from_data=True)
    z = 20 + latents(4, DIM, 9, 9)
    assert not quantizer.started
    quantizer.start(z.movedim(1, -1).reshape(-1, DIM))
    assert quantizer.started and all(part.started for part in quantizer.parts)
    # The first is where the latents are, the others around the origin and closer and closer to it.
    sizes = [part.codebook.square().mean().sqrt().item() for part in quantizer.parts]
    assert sizes[0] > 19 and 1.5 > sizes[1] > sizes[2]
    assert errors(quantizer, z) == sorted(errors(quantizer, z), reverse=True)


def test_the_error_falls_with_every_codebook() -> None:
    quantizer = make(ResidualQuantizerConfig, num_codebooks=6, start_from_data=True, decay=0.9).train()
    for step in range(30):
        quantizer(latents(8, DIM, 40, seed=step))
    fresh = errors(quantizer, latents(8, DIM, 40, seed=99))
    assert all(after < 0.85 * before for before, after in zip([1.0, *fresh], fresh, strict=False))
    assert fresh[-1] < 0.2


@pytest.mark.parametrize("learning", ["ema", "gradient"])
def test_a_toy_autoencoder_learns_through_it(learning: str) -> None:
    torch.manual_seed(0)
    data = torch.randn(512, 3) @ torch.randn(3, 12)
    settings = {**CODEBOOK, "start_from_data": True, "learning": learning, "revive_after": 20}
    quantizer = ResidualQuantizerConfig(dim=4, num_codebooks=3, **settings).build().train()
    encoder, decoder = nn.Linear(12, 4), nn.Linear(4, 12)
    optimizer = torch.optim.Adam([*encoder.parameters(), *quantizer.parameters(), *decoder.parameters()], lr=1e-2)
    found = []
    for _ in range(300):
        out = quantizer(encoder(data))
        error = (decoder(out.vectors) - data).square().mean() / data.var()
        optimizer.zero_grad()
        (error + out.loss).backward()
        optimizer.step()
        found.append(error.item())
    counts = torch.stack([torch.bincount(code, minlength=SIZE) for code in out.codes.T])
    assert found[0] > 0.9 and found[-1] < 0.05
    assert (perplexity(counts) > 8).all()


def test_fewer_codes_than_codebooks_are_an_error() -> None:
    quantizer = make(ResidualQuantizerConfig)
    with pytest.raises(DataError, match=r"this quantizer takes integers \(batch, 3, \*space\)"):
        quantizer.decode(torch.zeros(1, 2, 5, dtype=torch.int64))


def test_a_bad_latent_changes_no_codebook() -> None:  # [25]
    quantizer = make(ResidualQuantizerConfig, start_from_data=True)
    before = state(quantizer)
    z = latents(2, DIM, 5)
    z[0, 0, 0] = float("inf")
    with pytest.raises(DataError, match="1 of 80 entries"):
        quantizer(z)
    assert not any(part.started for part in quantizer.parts)
    assert all(torch.equal(before[name], value) for name, value in state(quantizer).items())


def test_no_codebooks_are_an_error() -> None:
    with pytest.raises(ConfigError, match="num_codebooks is 0"):
        make(ResidualQuantizerConfig, num_codebooks=0)
