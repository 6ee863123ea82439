"""Distributions over raw data, given the decoder's output."""

from vqvae.likelihoods.base import Likelihood
from vqvae.likelihoods.categorical import Categorical, CategoricalConfig
from vqvae.likelihoods.codes import CategoricalCodes, CategoricalCodesConfig
from vqvae.likelihoods.gaussian import Gaussian, GaussianConfig
from vqvae.likelihoods.logistic_mixture import LogisticMixture, LogisticMixtureConfig

LikelihoodConfig = GaussianConfig | LogisticMixtureConfig | CategoricalConfig | CategoricalCodesConfig

__all__ = [
    "Categorical",
    "CategoricalCodes",
    "CategoricalCodesConfig",
    "CategoricalConfig",
    "Gaussian",
    "GaussianConfig",
    "Likelihood",
    "LikelihoodConfig",
    "LogisticMixture",
    "LogisticMixtureConfig",
]
