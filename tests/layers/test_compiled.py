"""The compiled loops draw what the PyTorch loop draws."""

import math

import numpy as np
import pytest
import torch

pytest.importorskip("numba")

from vqvae.data.base import Condition
from vqvae.errors import ConfigError
from vqvae.layers import compiled
from vqvae.layers.autoregressive import Choice, draw, sample
from vqvae.layers.code_pixelcnn import FUSED
from vqvae.layers.wavenet_decoding import in_blocks, to_int8
from vqvae.priors import PixelCNN, PixelCNNConfig

SPACE = (5, 9)
CHOICES = [{}, {"temperature": 0.0}, {"temperature": 0.5, "top_k": 4}, {"top_p": 0.6}, {"temperature": 3.0, "top_k": 5, "top_p": 0.7}]


def prior(books: int, classes: int = 0, kernel: int = 3, hidden: int = 10, layers: int = 3) -> PixelCNN:
    torch.manual_seed(books)
    config = PixelCNNConfig(
        codebook_size=11, num_codebooks=books, layers=layers, hidden=hidden, kernel=kernel, classes=classes, output_hidden=6
    )
    model = config.build().eval()
    for parameter in model.parameters():
        parameter.data.mul_(2)
    return model


@pytest.mark.parametrize("settings", [(1, 0, 3), (3, 4, 5), (2, 0, 7, 8, 1)])
@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("has_prefix", [False, True])
def test_equal_draw_by_draw(settings: tuple[int, ...], choice: dict, has_prefix: bool) -> None:
    model, books = prior(*settings), settings[0]
    numbers = torch.rand(1, math.prod(SPACE) * books, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    condition = Condition(label=torch.tensor([3])) if model.classes else None
    prefix = None
    if has_prefix:
        prefix = torch.full((1, books, *SPACE), -1)
        prefix[:, :, 0], prefix[:, :, 1, :4], prefix[:, 0, 3, 3] = 3, 2, 1
    common = {"uniforms": numbers, "condition": condition, "prefix": prefix, **choice}
    plain, fused = (sample(model, 1, SPACE, compiled=flag, **common) for flag in (False, True))
    assert torch.equal(plain, fused)
    assert choice == {"temperature": 0.0} or len(plain.unique()) > 4


@pytest.mark.parametrize("classes", [0, 4])
def test_several_examples_are_drawn_as_each_alone(classes: int) -> None:
    model = prior(2, classes)
    numbers = torch.rand(5, math.prod(SPACE) * 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.tensor([0, 3, 1, 1, 2])
    prefix = torch.full((5, 2, *SPACE), -1)
    prefix[1, :, 0], prefix[3, 0, 2] = 4, 7

    def drawn(rows: list[int], compiled: bool) -> torch.Tensor:
        condition = Condition(label=labels[rows]) if classes else None
        return sample(model, len(rows), SPACE, uniforms=numbers[rows], condition=condition, prefix=prefix[rows], compiled=compiled)

    together = drawn([0, 1, 2, 3, 4], True)
    assert torch.equal(together, torch.cat([drawn([i], True) for i in range(5)]))
    assert torch.equal(together, drawn([0, 1, 2, 3, 4], False))
    assert drawn([], True).shape == (0, 2, *SPACE)


def test_few_examples_on_a_cpu_are_compiled_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = prior(1), []
    fused = model.fused
    monkeypatch.setattr(model, "fused", lambda *given: calls.append(1) or fused(*given))
    many = FUSED * torch.get_num_threads()
    sample(model, many + 1, (1, 1))
    sample(model, 1, (2, 2), compiled=False)
    assert not calls
    sample(model, 1, (2, 2))
    sample(model, many, (1, 1))
    assert len(calls) == 2
    with pytest.raises(ConfigError, match="float32 on a CPU"):
        sample(model.double(), 1, (2, 2), compiled=True)


def test_exponentials_are_exact_to_float32() -> None:
    x = np.linspace(-87, 87, 20001).astype(np.float32)
    found = np.array([compiled._exp(value) for value in x])
    np.testing.assert_allclose(found, np.exp(x.astype(np.float64)), rtol=1e-5)
    small = np.abs(x) < 10
    np.testing.assert_allclose(found[small], np.exp(x[small].astype(np.float64)), rtol=1e-6)


def test_gate_saturates() -> None:
    x = np.array([-1e30, 1e30, 0.5, -2, 0, 1e30, -1e30, 0.25, 1e30, 3], np.float32)
    found = np.empty(5, np.float32)
    compiled._gate(found, x)
    expected = np.tanh(x[:5].astype(np.float64)) * np.array([1, 0, 1 / (1 + math.exp(-0.25)), 1, 1 / (1 + math.exp(-3))])
    np.testing.assert_allclose(found, expected, atol=1e-7)


@pytest.mark.parametrize("shape", [(1, 3, 5), (7, 9, 2), (8, 16, 32)])
@pytest.mark.parametrize("step", [1, 4])
def test_products_of_overlapping_windows(shape: tuple[int, int, int], step: int) -> None:
    rows, size, outputs = shape
    generator = np.random.default_rng(0)
    x = generator.standard_normal(rows * step + size).astype(np.float32)
    matrix, out = (generator.standard_normal((n, outputs)).astype(np.float32) for n in (size, rows))
    expected = out + np.stack([x[r * step : r * step + size] for r in range(rows)]) @ matrix
    compiled._add_products(out, x, step, matrix)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 33), (7, 5), (64, 160), (1024, 32)])
def test_products_in_8_bits(shape: tuple[int, int]) -> None:
    size, outputs = shape
    generator = np.random.default_rng(0)
    x, before = (generator.standard_normal(count).astype(np.float32) for count in (size, outputs))
    matrix = to_int8(torch.from_numpy(generator.standard_normal(shape).astype(np.float32)))
    blocks = in_blocks(matrix.weights, compiled.OUTPUTS).contiguous().numpy()
    # What an earlier product left there must not matter.
    whole, sums = np.full(size + 1, 99, np.int16), np.full(outputs + compiled.OUTPUTS, 99, np.int32)
    out = before.copy()
    compiled._add_product_in_int8(out, x, blocks, matrix.scale.numpy(), whole, sums)
    products = x.astype(np.float64) @ matrix.restored().double().numpy()
    np.testing.assert_allclose(out - before, products, atol=1e-4 * np.abs(products).max())
    out = before.copy()
    compiled._add_product_in_int8(out, 0 * x, blocks, matrix.scale.numpy(), whole, sums)
    assert np.array_equal(out, before)
    # The largest sums that there can be stay in 32 bits.
    ones = np.full(size, -1, np.float32)
    most = to_int8(torch.ones(shape))
    compiled._add_product_in_int8(
        out, ones, in_blocks(most.weights, compiled.OUTPUTS).contiguous().numpy(), most.scale.numpy(), whole, sums
    )
    np.testing.assert_allclose(out - before, -size, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("choice", [Choice(), Choice(0.7), Choice(top_k=3), Choice(top_p=0.5), Choice(1.5, 4, 0.8)])
def test_draws_of_ties_and_of_impossible_codes(choice: Choice) -> None:
    logits = np.array([-1e30, 2, 0, 2, -300, 1, 2, -1e30], np.float32)
    for u in (0.0, 0.2, 0.5, 0.8, 1 - 2**-40):
        expected = int(draw(torch.from_numpy(logits)[None], torch.tensor([[u]], dtype=torch.float64), choice))
        found = compiled._draw(logits.copy(), u, np.float32(choice.temperature), choice.top_k or 0, choice.top_p or 1.0)
        assert found == expected and logits[found] >= 0
