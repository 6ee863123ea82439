"""Any folder of pictures."""

from vqvae.data import ImageFolderConfig
from vqvae.errors import ConfigError
from vqvae.likelihoods import GaussianConfig
from vqvae.models import Level, VQVAEConfig
from vqvae.networks import ImageDecoderConfig, ImageEncoderConfig
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import EMAQuantizerConfig
from vqvae.recipes.base import Recipe
from vqvae.training import AdamConfig, TrainConfig


def tokenizer(path: str | None) -> TrainConfig:
    """4× smaller codes, K = 512, of a size that two CPU cores train in an hour."""
    if path is None:
        raise ConfigError("The recipe 'images' trains on your own pictures; give their folder: --data FOLDER")
    return TrainConfig(
        model=VQVAEConfig(
            quantizer=EMAQuantizerConfig(dim=64, codebook_size=512, revive_after=200),
            likelihood=GaussianConfig(channels=3),
            encoder=ImageEncoderConfig(widths=(64, 128), residual_hidden=64),
            decoder=ImageDecoderConfig(widths=(128, 64), residual_hidden=64),
        ),
        data=ImageFolderConfig(path=path, size=64),
        steps=20_000,
        batch_size=32,
        optimizer=AdamConfig(learning_rate=1e-3, schedule="cosine", warmup_steps=100),
    )


def prior(level: Level, classes: int) -> TrainConfig:
    """A gated PixelCNN, conditioned on the class where ``--data.classes True`` gave any."""
    return TrainConfig(
        model=PixelCNNConfig(codebook_size=level.codebook_size, num_codebooks=level.num_codebooks, classes=classes, layers=12, hidden=64),
        steps=20_000,
        batch_size=32,
        optimizer=AdamConfig(learning_rate=1e-3, schedule="cosine", warmup_steps=100),
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
