"""Data that is the same on every machine and with every release of numpy: raw words of PCG64 and whole numbers, nothing else."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from tests.golden import bridge
from tests.golden.bridge import Batch, Condition, Dataset, Splits


class Stored(Dataset):
    """One batch as a data set."""

    def __init__(self, whole: Batch, label_names: tuple[str, ...], name: str) -> None:
        self.whole, self.label_names, self.name = whole, label_names, name
        self.signal = bridge.signal_of(whole.x)

    def __len__(self) -> int:
        return len(self.whole.x)

    def batch(self, indices: np.ndarray) -> Batch:
        return self.whole.take(torch.from_numpy(indices))


def words(seed: int, *shape: int) -> np.ndarray:
    """Whole numbers below 2³², int64."""
    return (np.random.PCG64(seed).random_raw(math.prod(shape)) >> 32).astype(np.int64).reshape(shape)


def pictures(seed: int, count: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Blocks of colour under a little noise: uint8 (count, channels, height, width)."""
    channels, height, width = shape
    blocks = words(seed, count, channels, -(-height // 4), -(-width // 4)) % 224
    large = blocks.repeat(4, 2).repeat(4, 3)[:, :, :height, :width]
    return torch.from_numpy((large + words(seed + 1, count, *shape) % 32).astype(np.uint8))


def waves(seed: int, count: int, shape: tuple[int, ...]) -> torch.Tensor:
    """Triangles of two heights under a little noise: float32 (count, 1, samples), whole multiples of 1 / 32768."""
    (samples,) = shape
    period = 16 + words(seed, count, 1) % 48
    place = np.arange(samples) % period
    triangle = np.abs(4 * place - 2 * period) * 8_000 // period - 8_000
    whole = triangle + words(seed + 1, count, samples) % 1_000 - 500
    return torch.from_numpy(whole.astype(np.float32) / 32_768)[:, None]


def codes(seed: int, count: int, shape: tuple[int, ...], size: int) -> torch.Tensor:
    """Codes (count, codebooks, *space) that often equal the one before them."""
    drawn = words(seed, count, *shape) % size
    again = words(seed + 1, count, *shape) % 2 == 0
    return torch.from_numpy(np.where(again, np.roll(drawn, 1, -1), drawn))


def batch_of(spec: Mapping[str, Any]) -> Batch:
    """What ``expected.json`` describes: ``what``, ``seed``, ``count``, ``shape`` and, where there are any, ``size`` of the codebooks,
    ``labels`` (how many) and ``lengths`` (which repeat)."""
    kind, seed, count, shape = spec["what"], spec["seed"], spec["count"], tuple(spec["shape"])
    x = {"pictures": pictures, "waves": waves}[kind](seed, count, shape) if kind != "codes" else codes(seed, count, shape, spec["size"])
    label = torch.arange(count) % spec["labels"] if "labels" in spec else None
    if "lengths" not in spec:
        return Batch(x, Condition(label=label))
    lengths = torch.tensor(spec["lengths"]).repeat(count)[:count]
    return Batch(x, Condition(label=label), torch.arange(x.shape[2]) < lengths[:, None])


def splits_of(train: Mapping[str, Any], held_out: Mapping[str, Any]) -> Splits:
    """Both sides as data sets."""
    names = tuple(f"label {number}" for number in range(train.get("labels", 0)))
    return Splits(Stored(batch_of(train), names, "golden-train"), Stored(batch_of(held_out), names, "golden-held-out"))
