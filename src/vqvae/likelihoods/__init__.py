"""Distributions over raw data, given the decoder's output."""

from vqvae.likelihoods.base import Likelihood
from vqvae.likelihoods.gaussian import GaussianConfig

LikelihoodConfig = GaussianConfig

__all__ = ["GaussianConfig", "Likelihood", "LikelihoodConfig"]
