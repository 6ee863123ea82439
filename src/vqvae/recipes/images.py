"""Any folder of images."""

import dataclasses

from vqvae.codes import Level
from vqvae.data import ImageFolderConfig
from vqvae.data.looking import Look, look
from vqvae.errors import ConfigError
from vqvae.likelihoods import GaussianConfig
from vqvae.priors import PixelCNNConfig
from vqvae.recipes.base import Recipe, codebook, cosine, narrow, pixelcnn
from vqvae.training import TrainConfig

STEPS, FEWEST_STEPS, BATCH = 20_000, 1_000, 32
SMALL = 32 * 32
"""Pixels of an image up to which a batch has twice as many: more latents per step use the codebook more evenly."""
EPOCHS = 500
"""Times that a small set of images is seen at most."""
MANY_CODES, FEW_CODES = 1_000_000, 100_000
"""Codes from which on the prior takes all steps, and below which it is small, so that it does not learn the images by heart."""
_UNSEEN = Look(count=STEPS * BATCH, size=64, channels=3, levels=256, classes=False)
"""What is assumed of a folder that is not there."""


def tokenizer(path: str | None) -> TrainConfig:
    """4 x 4 pixels for each code, K = 512, in a size that two CPU cores train in an hour. The data's settings fit the folder."""
    if path is None:
        raise ConfigError("The recipe 'images' trains on your own images. Give their folder: --data FOLDER")
    found = look(path) or _UNSEEN
    height, width = (found.size, found.size) if isinstance(found.size, int) else found.size
    batch_size = min(2 * BATCH if height * width <= SMALL else BATCH, found.count)
    return TrainConfig(
        # On small images a fast codebook reconstructs better than one with the paper's decay of 0.99 and commitment cost of 0.25.
        model=narrow(codebook(decay=0.9, commitment_cost=1.0), GaussianConfig(channels=found.channels, levels=found.levels)),
        data=ImageFolderConfig(path=path, size=found.size, channels=found.channels, levels=found.levels, classes=found.classes),
        steps=min(STEPS, max(FEWEST_STEPS, EPOCHS * found.count // batch_size)),
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
    summary="any folder of pictures; size, channels and classes fit what is in it",
    paper="the set-up of E2",
    cost="about an hour for each of the two stages on 2 cores",
    expected="depends on the pictures",
    tokenizer=tokenizer,
    prior=prior,
    sized=sized,
)
