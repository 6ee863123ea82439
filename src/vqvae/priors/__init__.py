"""Distributions over codes."""

from vqvae.priors.base import AutoregressivePrior, Prior
from vqvae.priors.uniform import UniformPrior, UniformPriorConfig
from vqvae.priors.unigram import UnigramPrior, UnigramPriorConfig

PriorConfig = UniformPriorConfig | UnigramPriorConfig

__all__ = [
    "AutoregressivePrior",
    "Prior",
    "PriorConfig",
    "UniformPrior",
    "UniformPriorConfig",
    "UnigramPrior",
    "UnigramPriorConfig",
]
