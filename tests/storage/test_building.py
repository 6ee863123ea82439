"""Stored parts are built only if they fit the header of their weights file."""

import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from vqvae import storage
from vqvae.errors import CheckpointError
from vqvae.likelihoods import GaussianConfig
from vqvae.models import VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import PixelCNNConfig, WaveNetConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.storage import building

SMALL: dict[str, Any] = {"widths": (4, 4), "residual_hidden": 4}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = VQVAEConfig(
        quantizer=EMAQuantizerConfig(dim=4, codebook_size=8),
        likelihood=GaussianConfig(channels=3),
        encoder=ImageEncoderConfig(**SMALL),
        decoder=ImageDecoderConfig(**SMALL),
    )
    storage.save(config.build(), tmp_path / "part")
    return tmp_path / "part"


def change(folder: Path, *path: str, value: Any) -> None:
    file = folder / storage.CONFIG
    data = json.loads(file.read_text())
    node = data["config"]
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    file.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("quantizer", "codebook_size"), 2**40),
        (("quantizer", "codebook_size"), 2**62),
        (("quantizer", "dim"), 2**62),
        (("encoder", "residual_blocks"), 10**9),
        (("decoder", "widths"), [40_000, 40_000]),
        (("decoder", "widths"), [2**62, 2**62]),
        (("encoder", "widths"), [4] * 10_000),
        (("encoder", "residual_hidden"), -1),
    ],
)
def test_a_configuration_that_asks_for_too_much_is_refused_before_memory_is_taken(folder: Path, path: tuple[str, ...], value: Any) -> None:
    change(folder, *path, value=value)
    with pytest.raises(CheckpointError, match=r"part"):
        storage.load(folder)


def test_a_prior_of_a_billion_layers_is_refused(tmp_path: Path) -> None:
    storage.save(PixelCNNConfig(codebook_size=8, layers=2, hidden=4, kernel=3, output_hidden=4).build(), tmp_path / "prior")
    change(tmp_path / "prior", "layers", value=10**9)
    with pytest.raises(CheckpointError, match="has far less than the configuration describes"):
        storage.load(tmp_path / "prior")


@pytest.mark.parametrize(("name", "value"), [("layers", 10**9), ("cycle", 10**6)])
def test_a_wavenet_of_a_billion_layers_is_refused(tmp_path: Path, name: str, value: int) -> None:
    storage.save(WaveNetConfig(codebook_size=8, layers=2, residual=4, skip=4, output_hidden=4).build(), tmp_path / "prior")
    change(tmp_path / "prior", name, value=value)
    with pytest.raises(CheckpointError, match=r"has far less|cycle is 1000000"):
        storage.load(tmp_path / "prior")


def test_a_sparse_file_that_is_larger_than_the_memory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "memory", lambda: 256.0)
    with pytest.raises(CheckpointError, match="GiB of memory to load"):
        storage.load(folder)


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def make_empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("name", [storage.CONFIG, storage.WEIGHTS])
@pytest.mark.parametrize("make", [make_pipe, make_device, make_loop, make_empty, Path.mkdir])
def test_what_is_no_file_is_refused(folder: Path, name: str, make: Callable[[Path], None]) -> None:
    (folder / name).unlink()
    make(folder / name)
    with pytest.raises(CheckpointError, match=name):
        storage.load(folder)


def test_weights_that_are_not_finite_are_named(folder: Path) -> None:
    tensors = storage.read_tensors(folder / storage.WEIGHTS)
    name = next(name for name, value in tensors.items() if value.is_floating_point())
    tensors[name].view(-1)[0] = torch.nan
    save_file(tensors, folder / storage.WEIGHTS)
    with pytest.raises(CheckpointError, match=rf"holds NaN or infinite numbers in \['{name}'\]"):
        storage.load(folder)


def test_the_header_gives_names_shapes_and_types(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros((), dtype=torch.bool)}, tmp_path / "x.safetensors")
    header = building.read_header(tmp_path / "x.safetensors")
    assert {name: building.describe(value) for name, value in header.items()} == {"a": "float32[2, 3]", "b": "bool[]"}
    assert all(value.is_meta for value in header.values())


def test_loading_leaves_the_generator_to_other_threads(folder: Path) -> None:
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    first = torch.rand(1)
    thread = threading.Thread(target=storage.load, args=(folder,))
    thread.start()
    thread.join()
    assert torch.equal(torch.cat([first, torch.rand(2)]), wanted)


class Drawing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        order = torch.randperm(4).tolist()  # Impossible on the meta device.
        self.weight = nn.Parameter(torch.randn(4)[order] + torch.bernoulli(torch.full((4,), 0.5)))


@dataclass(frozen=True, kw_only=True)
class DrawingConfig:
    def build(self) -> Drawing:
        return Drawing()


def test_parts_of_ones_own_may_need_numbers_to_be_built(tmp_path: Path) -> None:
    state = torch.get_rng_state()
    header = {"weight": torch.empty(4, device="meta")}
    assert isinstance(building.build_like(DrawingConfig(), header, tmp_path, own=True), Drawing)
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(CheckpointError, match="cannot be built"):
        building.build_like(DrawingConfig(), header, tmp_path)
