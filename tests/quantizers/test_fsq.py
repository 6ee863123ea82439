"""Finite scalar quantization beside the paper's formulas in float64."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from vector_quantize_pytorch import FSQ as OtherFSQ

from tests.contracts.test_quantizers import DIM, latents, make, state
from vqvae.codes import perplexity
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import CategoricalConfig
from vqvae.models import VQVAEConfig
from vqvae.quantizers import FSQ, CodebookQuantizer, FSQConfig

PAPER = {(8, 6, 5): 2**8, (8, 5, 5, 5): 2**10, (7, 5, 5, 5, 5): 2**12, (8, 8, 8, 6, 5): 2**14, (8, 8, 8, 5, 5, 5): 2**16}
"""Levels of [FSQ Table 1], and the sizes of the codebooks that they stand for."""
LEVELS = [*PAPER, (2,) * 8, (3, 3, 3), (2, 3), (1000,), (16, 2, 7)]


def unprojected(*levels: int) -> FSQ:
    return FSQConfig(dim=len(levels), levels=levels).build()


def reference(z: np.ndarray, levels: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bounded numbers, values and codes of rows (rows, channels), by the formulas of [FSQ Appendix A.1]."""
    count = np.array(levels, dtype=np.float64)
    half = (count - 1) * (1 - 1e-3) / 2
    offset = np.where(count % 2 == 1, 0.0, 0.5)
    bounded = np.tanh(z + np.tan(offset / half)) * half - offset
    digits = (np.rint(bounded) + count // 2).astype(np.int64)
    return bounded, np.rint(bounded) / (count // 2), np.ravel_multi_index(tuple(digits.T[::-1]), levels[::-1])


def reaching(codes: torch.Tensor, levels: tuple[int, ...]) -> torch.Tensor:
    """Latents (rows, channels) from which one gets codes (rows,): the bound, turned round."""
    digits = np.stack(np.unravel_index(codes.numpy(), levels[::-1])[::-1], 1)
    count = np.array(levels, dtype=np.float64)
    half, offset = (count - 1) * (1 - 1e-3) / 2, np.where(count % 2 == 1, 0.0, 0.5)
    inside = np.clip((digits - count // 2 + offset) / half, -1 + 1e-9, 1 - 1e-9)
    return torch.from_numpy(np.arctanh(inside) - np.tan(offset / half)).float()


@pytest.mark.parametrize("levels", LEVELS)
def test_beside_the_papers_formulas_in_float64(levels: tuple[int, ...]) -> None:
    z = 1.5 * latents(4000, len(levels), seed=sum(levels))
    bounded, values, codes = reference(z.double().numpy(), levels)
    out = unprojected(*levels)(z)
    # Float32 may round what lies within 1e-4 of a border to the other side.
    clear = (np.abs(np.abs(bounded - np.floor(bounded)) - 0.5) > 1e-4).all(1)
    assert clear.mean() > 0.9
    assert np.array_equal(out.codes[clear, 0].numpy(), codes[clear])
    np.testing.assert_allclose(out.vectors[clear].numpy(), values[clear], rtol=1e-6)
    assert out.vectors.min() >= -1 and out.vectors.max() <= 1
    assert out.loss == 0


@pytest.mark.parametrize(("levels", "size"), PAPER.items())
def test_the_papers_levels_stand_for_codebooks_of_its_sizes(levels: tuple[int, ...], size: int) -> None:
    quantizer = unprojected(*levels)
    assert (quantizer.num_codebooks, quantizer.codebook_size) == (1, math.prod(levels))
    assert 0.9 * size < quantizer.codebook_size < 1.07 * size
    assert not list(quantizer.parameters()) and not state(quantizer) and not isinstance(quantizer, CodebookQuantizer)


@pytest.mark.parametrize("levels", [*LEVELS, (2,) * 16])
def test_every_code_is_reached_and_comes_back(levels: tuple[int, ...]) -> None:  # [18]
    quantizer = unprojected(*levels)
    every = torch.arange(quantizer.codebook_size)
    out = quantizer(reaching(every, levels))
    assert torch.equal(out.codes[:, 0], every)
    assert torch.equal(quantizer.decode(every[:, None]).view(torch.int32), out.vectors.view(torch.int32))
    assert torch.equal(quantizer.decode(every[:, None].int()), out.vectors)


@pytest.mark.parametrize("levels", [(2,) * 20, (2,) * 31, (16,) * 7 + (8,), (1000, 1000, 1000, 2)])
def test_codes_up_to_32_bits_do_not_overflow(levels: tuple[int, ...]) -> None:  # [18]
    quantizer = unprojected(*levels)
    size = math.prod(levels)
    codes = torch.randint(size, (5000,), generator=torch.Generator().manual_seed(0))
    codes[:2] = torch.tensor([0, size - 1])
    out = quantizer(reaching(codes, levels))
    assert torch.equal(out.codes[:, 0], codes)
    assert torch.equal(quantizer.decode(codes[:, None]), out.vectors)
    assert torch.equal(quantizer.bfloat16()(reaching(codes, levels)).codes[:, 0], codes)


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (4, 3), (16, 3, 7)])
def test_codes_mean_what_they_mean_elsewhere(levels: tuple[int, ...]) -> None:
    """The order of digits is that of the paper, and so of vector_quantize_pytorch."""
    every = torch.arange(math.prod(levels))
    expected = OtherFSQ(list(levels)).indices_to_codes(every)
    torch.testing.assert_close(unprojected(*levels).decode(every[:, None]), expected)


def test_a_latent_of_zero_is_in_the_middle_and_large_ones_at_the_ends() -> None:
    quantizer = unprojected(5, 3, 8, 2)
    z = torch.tensor([[0.0, 0, 0, 0], [99, 99, 99, 99], [-99, -99, -99, -99]])
    # An even number of levels has none above the middle to match the lowest: 3 of 4 halves.
    expected = torch.tensor([[0.0, 0, 0, 0], [1, 1, 0.75, 0], [-1, -1, -1, -1]])
    out = quantizer(z)
    assert torch.equal(out.vectors, expected)
    # Zeros have no sign that decoding would lose.
    assert torch.equal(out.vectors.view(torch.int32), quantizer.decode(out.codes).view(torch.int32))


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (2, 3)])
def test_gradient_is_that_of_the_bound(levels: tuple[int, ...]) -> None:
    z = latents(50, len(levels)).requires_grad_()
    grad = latents(50, len(levels), seed=5)
    unprojected(*levels)(z).vectors.backward(grad)
    exact = z.detach().double().requires_grad_()
    count = torch.tensor(levels, dtype=torch.float64)
    half, offset = (count - 1) * (1 - 1e-3) / 2, torch.where(count % 2 == 1, 0.0, 0.5)
    ((torch.tanh(exact + torch.tan(offset / half)) * half - offset) / (count // 2)).backward(grad.double())
    torch.testing.assert_close(z.grad.double(), exact.grad, rtol=1e-4, atol=1e-6)


def test_projections_lead_to_the_channels_and_back() -> None:
    quantizer = make(FSQConfig, levels=(8, 5, 5)).train()
    z = latents(2, DIM, 5, 9).requires_grad_()
    out = quantizer(z)
    rows = z.detach().movedim(1, -1).reshape(-1, DIM)
    inside = unprojected(8, 5, 5)(quantizer.project_in(rows))
    assert torch.equal(out.codes.reshape(-1), inside.codes[:, 0])
    expected = quantizer.project_out(inside.vectors).T.reshape(DIM, 2, 5, 9).transpose(0, 1)
    torch.testing.assert_close(out.vectors, expected, rtol=1e-5, atol=1e-6)
    out.vectors.square().sum().backward()
    for tensor in (z, *quantizer.parameters()):
        assert torch.isfinite(tensor.grad).all() and (tensor.grad != 0).any()


def test_decoded_vectors_have_the_same_bits_in_any_company() -> None:  # [19]
    quantizer = make(FSQConfig, dim=32, levels=(8, 5, 5, 5)).eval()
    z = latents(3, 32, 37)
    mask = torch.rand(3, 37, generator=torch.Generator().manual_seed(0)) > 0.4
    out, masked = quantizer(z), quantizer(z, mask)
    assert torch.equal(masked.vectors[:, :, 0][mask[:, 0]], out.vectors[:, :, 0][mask[:, 0]])
    for row in range(3):
        for place in range(37):
            assert torch.equal(quantizer.decode(out.codes[row : row + 1, :, place]), out.vectors[row : row + 1, :, place])


def test_projections_that_are_not_finite_are_an_error_not_a_code() -> None:  # [25]
    quantizer = make(FSQConfig)
    with torch.no_grad():
        quantizer.project_in.weight[0, 0] = float("nan")
    with pytest.raises(DataError, match="projected latents are NaN, infinite"):
        quantizer(latents(2, DIM, 5))


def test_projections_stay_float32() -> None:  # [17]
    quantizer = make(FSQConfig).half()
    assert {parameter.dtype for parameter in quantizer.parameters()} == {torch.float32}
    assert quantizer.double().project_in.weight.dtype == torch.float32


def test_a_toy_autoencoder_learns_through_it() -> None:
    torch.manual_seed(0)
    data = torch.randn(512, 2) @ torch.randn(2, 12)
    quantizer = FSQConfig(dim=6, levels=(8, 8)).build().train()
    encoder, decoder = nn.Linear(12, 6), nn.Linear(6, 12)
    # It begins with latents so small that few codes are in use.
    encoder.weight.data.mul_(0.1)
    optimizer = torch.optim.Adam([*encoder.parameters(), *quantizer.parameters(), *decoder.parameters()], lr=1e-2)
    errors, used = [], []
    for _ in range(300):
        out = quantizer(encoder(data))
        error = (decoder(out.vectors) - data).square().mean() / data.var()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
        used.append(perplexity(torch.bincount(out.codes[:, 0], minlength=64)).item())
    assert errors[0] > 0.9 and errors[-1] < 0.1
    assert used[-1] > 2 * used[0] and used[-1] > 32


@pytest.mark.parametrize("levels", [(), (1, 5), (5, 0), (-2,), (5, 1001)])
def test_channels_need_2_to_1000_levels(levels: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="levels is .* (from 2 to 1000|between 0 and)"):
        FSQConfig(dim=4, levels=levels).build()


def test_more_codes_than_32_bits_hold_are_an_error() -> None:
    with pytest.raises(ConfigError, match="makes 68719476736 codes; the limit is 2147483648"):
        FSQConfig(dim=9, levels=(16,) * 9).build()


def test_a_model_with_it_has_no_codes_that_could_cost_more() -> None:
    quantizer = FSQConfig(dim=4, levels=(8, 5, 5, 5))
    assert VQVAEConfig(quantizer=quantizer, likelihood=CategoricalConfig(channels=3)).build().layout[0][:2] == (1, 1000)
    with pytest.raises(ConfigError, match="FSQ has no codebook"):
        VQVAEConfig(quantizer=quantizer, likelihood=CategoricalConfig(channels=3), rated=True).build()
