"""What modules are built under."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

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
    with torch.device("meta"):
        assert EMAQuantizerConfig(dim=2, codebook_size=4).build().codebook.dtype == torch.float32
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
    with pytest.raises(ConfigError, match=r"The module of EMAQuantizerConfig takes 1,\d\d\d\.\d GiB"):
        EMAQuantizerConfig(dim=64, codebook_size=2**31 - 1).build()
    monkeypatch.setattr(building, "memory", lambda: 1000.0)
    with building.building("Anything"), pytest.raises(ConfigError, match="A tensor .* in Anything takes"):
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


def test_a_large_module_is_measured_before_it_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    config = PixelCNNConfig(codebook_size=4, layers=1, hidden=4, output_hidden=4)
    torch.manual_seed(0)
    weights, drawn = config.build().state_dict(), torch.rand(1)
    monkeypatch.setattr(building, "LARGE", 100)
    torch.manual_seed(0)
    assert all(torch.equal(value, weights[name]) for name, value in config.build().state_dict().items())
    assert torch.equal(torch.rand(1), drawn)
    monkeypatch.setattr(building, "memory", lambda: 1000.0)
    with pytest.raises(ConfigError, match=r"The module of PixelCNNConfig takes .* Choose smaller sizes"):
        config.build()


def test_a_huge_number_of_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "MOST_TENSORS", 200)
    monkeypatch.setattr(building, "LARGE", 100)
    with pytest.raises(ConfigError, match=r"ImageDecoderConfig describes a module of more than 200 tensors"):
        ImageDecoderConfig(widths=(4,), residual_blocks=2**31 - 1, residual_hidden=4).build(4, 3)


def test_a_module_that_does_not_work_on_the_meta_device_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "LARGE", 100)
    made = building.build_module(lambda: nn.Linear(round(torch.full((), 20.0).item()), 20), "Mine")
    assert made.weight.shape == (20, 20) and not made.weight.is_meta


def test_a_failed_allocation_is_an_error_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="Mine does not fit into the memory that is free"), building.building("Mine"):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")
    with pytest.raises(RuntimeError, match="else"), building.building("Mine"):
        raise RuntimeError("something else")


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(building, "_CONTAINER_LIMITS", (str(limit),))
    whole = building.memory()
    limit.write_text("12345\n")
    assert building.memory() == 12345
    limit.write_text("max\n")
    assert building.memory() == whole


_PARTS = """
import sys
import torch
import vqvae, vqvae.priors
from vqvae import building

codebook = {"dim": 4, "codebook_size": 8}
parts = [kind(**codebook) for kind in (vqvae.EMAQuantizerConfig, vqvae.VectorQuantizerConfig)]
parts += [kind(**codebook, num_codebooks=2) for kind in (vqvae.ProductQuantizerConfig, vqvae.ResidualQuantizerConfig)]
parts += [kind(codebook_size=8) for kind in vqvae.priors.PriorConfig.__args__]
for part in parts:
    with torch.device("meta"):
        assert all(tensor.is_meta for tensor in part.build().state_dict().values())
    with building.private_draws(), torch.device("cpu"):
        part.build()
print({"torch._dynamo", "sympy"} & set(sys.modules))
"""


def test_no_part_wakes_the_compiler_of_torch() -> None:
    done = subprocess.run([sys.executable, "-c", _PARTS], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.returncode) == ("set()\n", 0), done.stderr
