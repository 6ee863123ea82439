"""Any folder of pictures."""

from vqvae.codes import Level
from vqvae.data import ImageFolderConfig
from vqvae.errors import ConfigError
from vqvae.recipes.base import Recipe, codebook, cosine, narrow, pixelcnn
from vqvae.training import TrainConfig


def tokenizer(path: str | None) -> TrainConfig:
    """4 × 4 pixels a code, K = 512, of a size that two CPU cores train in an hour."""
    if path is None:
        raise ConfigError("The recipe 'images' trains on your own pictures; give their folder: --data FOLDER")
    return TrainConfig(
        model=narrow(codebook()),
        data=ImageFolderConfig(path=path, size=64),
        steps=20_000,
        batch_size=32,
        optimizer=cosine(1e-3),
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A gated PixelCNN, conditioned on the class where ``--data.classes True`` gave any."""
    return TrainConfig(
        model=pixelcnn(level, layers=12, hidden=64, classes=classes),
        steps=20_000,
        batch_size=32,
        optimizer=cosine(1e-3),
    )


RECIPE = Recipe(
    name="images",
    summary="any folder of PNG, JPEG, WebP or BMP pictures, 64×64 unless --data.size says otherwise",
    paper="the set-up of E2",
    cost="about an hour for each of the two stages on 2 cores",
    expected="depends on the pictures",
    tokenizer=tokenizer,
    prior=prior,
)
