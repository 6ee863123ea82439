"""One trainer for tokenizers, priors, and joint models."""

from vqvae.training.averaging import Average
from vqvae.training.callbacks import Callback, ReconstructionGrid, SampleGrid
from vqvae.training.checkpoint import Checkpoints
from vqvae.training.interruption import Interrupted
from vqvae.training.joint import Joint, JointConfig
from vqvae.training.optimizers import AdamConfig
from vqvae.training.settings import RunOptions, TrainConfig
from vqvae.training.trainer import Trainer, build

__all__ = [
    "AdamConfig",
    "Average",
    "Callback",
    "Checkpoints",
    "Interrupted",
    "Joint",
    "JointConfig",
    "ReconstructionGrid",
    "RunOptions",
    "SampleGrid",
    "TrainConfig",
    "Trainer",
    "build",
]
