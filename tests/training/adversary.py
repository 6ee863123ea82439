"""A tiny adversary, and a VQ-VAE that learns to deceive it; ``python -m tests.training.adversary RUN`` trains both."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.training import tiny
from vqvae.likelihoods import Adversary
from vqvae.models import VQVAEConfig
from vqvae.models.vqvae import WeightedConfig
from vqvae.signals import pictures


@dataclass(frozen=True, kw_only=True)
class ToyAdversaryConfig:
    """Two convolutions; with ``dropout`` the adversary draws random numbers while it trains."""

    width: int = 4
    dropout: float = 0.5

    def build(self) -> "ToyAdversary":
        return ToyAdversary(self)


class ToyAdversary(Adversary):
    """It says of every position how real it looks."""

    channels, levels, num_parameters = 3, 256, 3

    def __init__(self, config: ToyAdversaryConfig) -> None:
        super().__init__()
        self.config = config
        self.judge = nn.Sequential(nn.Conv2d(3, config.width, 3), nn.Dropout(config.dropout), nn.ReLU(), nn.Conv2d(config.width, 1, 3))

    def loss(self, parameters: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return -self._real(parameters).mean((1, 2, 3)) * x[0].numel()

    def own_loss(self, made: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return (F.softplus(-self._real(pictures().to_unit(x))) + F.softplus(self._real(made))).mean()

    def mode(self, parameters: Tensor) -> Tensor:
        return pictures().from_unit(parameters)

    def _real(self, data: Tensor) -> Tensor:
        with torch.autocast(data.device.type, enabled=False):
            return self.judge(data.float())


def model(weight: float = 0.5, revive_after: int = 3, **changes: object) -> VQVAEConfig:
    """The tiny model with an adversary among its criteria."""
    further = (WeightedConfig(criterion=ToyAdversaryConfig(**changes), weight=weight),)
    return dataclasses.replace(tiny.model(revive_after=revive_after), criteria=further)


def settings(**changes: object) -> tiny.TrainConfig:
    """Settings of a run with an adversary that learns at a pace of its own."""
    own = tiny.AdamConfig(learning_rate=3e-3, betas=(0.5, 0.9), warmup_steps=2, clip_norm=0.01)
    return tiny.settings(**{"model": model(), "adversary_optimizer": own, **changes})


if __name__ == "__main__":
    # Two processes draw other noise than one.
    tiny.trainer(Path(sys.argv[1]), settings(model=model(revive_after=0, dropout=0.0))).run()
