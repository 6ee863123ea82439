"""Synthetic images with structure to learn, for tests and first trials."""

from dataclasses import field

import numpy as np

from vqvae.config import SEED, settings
from vqvae.data.arrays import ArrayDataset
from vqvae.data.base import Splits
from vqvae.errors import ConfigError
from vqvae.seeding import mix

_MOST = 2**27
"""The most values to draw. Each temporarily takes several floats."""
_SHAPES = ("disc", "square", "cross", "ring", "stripes", "diamond")


@settings
class SyntheticImagesConfig:
    """A shape of one colour, anywhere on a smooth gradient between two other colours. The class is the shape.

    Another 5 % of ``count`` (at least one image of each class) is held out.
    """

    count: int = 1024
    """Number of training images."""
    size: int = 16
    """Height and width, in pixels."""
    channels: int = 3
    """Colours; 1 is grey."""
    classes: int = 4
    """Number of shapes, up to 6."""
    seed: int = field(default=0, metadata=SEED)
    """The seed of the drawing."""

    def build(self) -> Splits:
        """Draw both sides."""
        return _build(self)


def _build(config: SyntheticImagesConfig) -> Splits:
    if config.count < 1 or config.size < 4 or config.channels < 1 or not 1 <= config.classes <= len(_SHAPES):
        raise ConfigError(f"{config} cannot be drawn: count and channels from 1, size from 4, classes from 1 to {len(_SHAPES)}.")
    values = config.count * config.channels * config.size**2
    if values > _MOST:
        raise ConfigError(f"{config} has {values} values; at most {_MOST} are drawn in memory. Choose a smaller count or size.")
    return Splits(_side(config, "train", config.count), _side(config, "held-out", max(config.classes, config.count // 20)))


def _side(config: SyntheticImagesConfig, side: str, count: int) -> ArrayDataset:
    random = np.random.Generator(np.random.PCG64(mix(config.seed, "synthetic", side)))
    labels = np.arange(count) % config.classes
    colours = random.uniform(0, 255, (3, count, config.channels, 1, 1))
    direction, centre, radius = random.uniform(0, 2 * np.pi, count), random.uniform(0.3, 0.7, (2, count)), random.uniform(0.2, 0.3, count)
    axis = (np.arange(config.size) + 0.5) / config.size
    slope = 0.5 + 0.5 * (
        np.cos(direction)[:, None, None] * (2 * axis[:, None] - 1) + np.sin(direction)[:, None, None] * (2 * axis - 1)
    ).clip(-1, 1)
    y = (axis[:, None] - centre[0][:, None, None]) / radius[:, None, None]
    x = (axis[None, :] - centre[1][:, None, None]) / radius[:, None, None]
    inside = np.choose(labels[:, None, None], [*_shapes(*np.broadcast_arrays(x, y))][: config.classes])[:, None]
    background = colours[0] + (colours[1] - colours[0]) * slope[:, None]
    images = np.rint(np.where(inside, colours[2], background)).astype(np.uint8)
    name = f"synthetic-{config.count}-{config.size}-{config.channels}-{config.classes}-{config.seed}-{side}"
    return ArrayDataset(images, name=name, labels=labels, label_names=_SHAPES[: config.classes])


def _shapes(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """Masks of the shapes with radius 1 around the origin, in the order of ``_SHAPES``."""
    radius, longest, shortest = np.hypot(x, y), np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
    return (
        radius < 1,
        longest < 0.9,
        (longest < 1) & (shortest < 0.35),
        (radius < 1.1) & (radius > 0.6),
        (longest < 1) & ((y * 2.5) % 2 < 1),
        abs(x) + abs(y) < 1.1,
    )
