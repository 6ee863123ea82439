"""What is trained to turn data into latents."""

from vqvae.models.base import LatentModel, Level, LogPrior, Reconstruction, Tokenizer
from vqvae.models.vqvae import VQVAE, VQVAEConfig

ModelConfig = VQVAEConfig

__all__ = ["VQVAE", "LatentModel", "Level", "LogPrior", "ModelConfig", "Reconstruction", "Tokenizer", "VQVAEConfig"]
