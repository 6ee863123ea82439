"""The PixelCNN in one kernel draws what the PyTorch loop draws."""

import math

import pytest
import torch

pytest.importorskip("numba")

from vqvae.data.base import Condition
from vqvae.errors import ConfigError
from vqvae.layers.autoregressive import sample
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


def test_the_kernel_draws_on_a_cpu_whatever_the_size_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = prior(1), []
    fused = model.fused
    monkeypatch.setattr(model, "fused", lambda *given: calls.append(1) or fused(*given))
    sample(model, 1, (2, 2), compiled=False)
    assert not calls
    sample(model, 1, (2, 2))
    sample(model, 100, (1, 1))
    assert len(calls) == 2
    with pytest.raises(ConfigError, match="float32 on a CPU"):
        sample(model.double(), 1, (2, 2), compiled=True)
