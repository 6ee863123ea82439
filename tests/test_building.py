"""What modules are built under."""

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from vqvae import EMAQuantizerConfig, ImageDecoderConfig, PixelCNNConfig, building
from vqvae.errors import ConfigError


@pytest.fixture(params=[torch.float64, torch.bfloat16, torch.float16])
def default(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


def test_modules_are_float32_whatever_the_default_type_is(default: torch.dtype) -> None:
    torch.manual_seed(0)
    prior = PixelCNNConfig(codebook_size=4, layers=1, hidden=4, output_hidden=4).build()
    assert {p.dtype for p in prior.parameters()} == {torch.float32}
    assert EMAQuantizerConfig(dim=2, codebook_size=4).build().codebook.dtype == torch.float32
    assert torch.get_default_dtype() == default and torch.zeros(1).dtype == default
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    same = PixelCNNConfig(codebook_size=4, layers=1, hidden=4, output_hidden=4).build()
    assert all(torch.equal(a, b) for a, b in zip(prior.parameters(), same.parameters(), strict=True))


def test_constants_keep_their_digits_under_a_short_default_type(default: torch.dtype) -> None:
    with building.building("Anything"):
        assert torch.tensor([0.1]).equal(torch.tensor([0.1], dtype=torch.float32))
        assert torch.full((2,), 0.1).dtype == torch.arange(0, 1, 0.1).dtype == torch.hann_window(4).dtype == torch.float32
        assert torch.tensor([1]).dtype == torch.full((2,), 1).dtype == torch.int64 and torch.full((2,), True).dtype == torch.bool
        assert torch.zeros(2, dtype=torch.float64).dtype == torch.float64
        with building.building("Anything inside"):
            assert torch.ones(2).dtype == torch.float32


def test_another_thread_is_not_affected() -> None:
    made = []
    torch.set_default_dtype(torch.float64)
    try:
        with building.building("Anything"):
            thread = threading.Thread(target=lambda: made.append(torch.zeros(1)))
            thread.start()
            thread.join()
    finally:
        torch.set_default_dtype(torch.float32)
    assert made[0].dtype == torch.float64


def test_sizes_beyond_the_memory_are_refused_before_they_are_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"EMAQuantizerConfig asks for a tensor of \(1000000000000,\) numbers"):
        EMAQuantizerConfig(dim=64, codebook_size=10**12).build()
    monkeypatch.setattr(building, "memory", lambda: 1000.0)
    with building.building("Anything"), pytest.raises(ConfigError, match="Anything asks for"):
        nn.Linear(100, 100)
    with building.building("Anything"), torch.device("meta"):
        assert nn.Linear(100, 100).weight.is_meta


def test_private_draws_leave_the_generators_alone() -> None:
    state = torch.get_rng_state()
    with building.private_draws():
        first = [
            torch.randn(2),
            torch.rand(2),
            torch.randint(9, (2,)),
            torch.randint(3, 9, (2,)),
            torch.randperm(4),
            nn.Linear(2, 2).weight,
        ]
        first += [torch.randint(3, 9, (2,)), nn.init.trunc_normal_(torch.empty(3)), torch.empty(3).exponential_()]
    assert torch.equal(torch.get_rng_state(), state) and all(torch.isfinite(one).all() for one in first)


def test_memory_is_a_number_of_bytes() -> None:
    assert building.memory() > 2**20


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize("config", [ImageDecoderConfig(widths=(4, 4), residual_hidden=0), ImageDecoderConfig(widths=(0, 4))])
def test_an_empty_part_is_refused_when_it_is_built(config: ImageDecoderConfig) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        config.build(4, 3)
