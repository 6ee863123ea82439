"""Any folder of images, or shards of them."""

import dataclasses
from typing import Any

from vqvae.codes import Level
from vqvae.data import ImageFolderConfig, ImageShardsConfig
from vqvae.data.looking import Look, look, look_in_shards
from vqvae.errors import ConfigError
from vqvae.likelihoods import GaussianConfig
from vqvae.priors import PixelCNNConfig
from vqvae.recipes.base import Recipe, codebook, cosine, narrow, pixelcnn
from vqvae.training import TrainConfig

STEPS, FEWEST_STEPS, BATCH = 20_000, 1_000, 32
SMALL = 32 * 32
"""If images have at most this many pixels, batches are twice as large: more latents per step use the codebook more evenly."""
EPOCHS = 500
"""The largest number of epochs over a small set of images."""
MANY_CODES, FEW_CODES = 1_000_000, 100_000
"""From the first number of codes on, the prior trains for all steps. Below the second, it is small, so that it does not memorise images."""
_UNSEEN = Look(count=STEPS * BATCH, size=64, channels=3, levels=256, classes=False)
"""The assumed contents of a folder that does not exist."""


def tokenizer(path: str | None, column: str | None = None, label_column: str | None = None, cache: str | None = None) -> TrainConfig:
    """4×4 pixels per code, K = 512, and a network that two CPU cores train in an hour. The settings of the data fit the pictures.

    Args:
        path: a folder of pictures, or shards; see ``ImageShardsConfig``.
        column: the column of tables with the pictures.
        label_column: the column of tables with the classes.
        cache: the folder for the index of shards.

    Raises:
        ConfigError: if there is no path, or columns are named but there is no table.
        DataError: if there is nothing to train on.
    """
    if path is None:
        raise ConfigError("The recipe 'images' trains on your own images. Give their folder: --data FOLDER")
    found, in_shards = look(path), None
    if found is None:
        in_shards = look_in_shards(path, column=column, label_column=label_column, cache=cache)
    if in_shards is None and (column or label_column):
        raise ConfigError(f"{path} holds no Parquet or Arrow files, so it has no columns. Omit --data.column and --data.label-column.")
    seen = found or in_shards or _UNSEEN
    height, width = (seen.size, seen.size) if isinstance(seen.size, int) else seen.size
    batch_size = min(2 * BATCH if height * width <= SMALL else BATCH, seen.count)
    columns = {"column": column, "label_column": label_column, "cache": cache}
    fitting: dict[str, Any] = {"path": path, "size": seen.size, "channels": seen.channels, "levels": seen.levels, "classes": seen.classes}
    return TrainConfig(
        # On small images, a codebook that adapts faster reconstructs better than the paper's decay of 0.99 and commitment cost of 0.25.
        model=narrow(codebook(decay=0.9, commitment_cost=1.0), GaussianConfig(channels=seen.channels, levels=seen.levels)),
        data=ImageShardsConfig(**fitting, **columns) if in_shards else ImageFolderConfig(**fitting),
        steps=min(STEPS, max(FEWEST_STEPS, EPOCHS * seen.count // batch_size)),
        batch_size=batch_size,
        optimizer=cosine(1e-3),
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A gated PixelCNN, conditioned on the class if there are classes."""
    return TrainConfig(
        model=pixelcnn(level, layers=12, hidden=64, classes=classes),
        steps=STEPS,
        batch_size=BATCH,
        optimizer=cosine(1e-3),
    )


def sized(config: TrainConfig, codes: int) -> TrainConfig:
    """Fewer steps for few codes, and a smaller network for very few."""
    assert isinstance(config.model, PixelCNNConfig), "set by prior"
    model = dataclasses.replace(config.model, layers=6, hidden=32) if codes < FEW_CODES else config.model
    return dataclasses.replace(config, model=model, steps=min(STEPS, max(FEWEST_STEPS, STEPS * codes // MANY_CODES)))


RECIPE = Recipe(
    name="images",
    summary="any folder of pictures, or shards of them; size, channels and classes fit its contents",
    paper="the setup of E2",
    cost="about an hour for each of the two stages on 2 cores",
    expected="depends on the pictures",
    tokenizer=tokenizer,
    prior=prior,
    sized=sized,
    looks_at=("column", "label_column", "cache"),
)
