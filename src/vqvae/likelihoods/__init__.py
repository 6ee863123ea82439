"""Distributions over raw data, given the decoder's output."""

from vqvae.likelihoods.base import BinnedLikelihood, Likelihood
from vqvae.likelihoods.categorical import Categorical, CategoricalConfig
from vqvae.likelihoods.cepstral import Cepstral, CepstralConfig
from vqvae.likelihoods.codes import CategoricalCodes, CategoricalCodesConfig
from vqvae.likelihoods.gaussian import Gaussian, GaussianConfig
from vqvae.likelihoods.logistic_mixture import LogisticMixture, LogisticMixtureConfig
from vqvae.likelihoods.mu_law import MuLaw, MuLawConfig
from vqvae.likelihoods.mu_law_mixture import MuLawMixture, MuLawMixtureConfig
from vqvae.likelihoods.spectral import Spectral, SpectralConfig

LikelihoodConfig = (
    GaussianConfig
    | LogisticMixtureConfig
    | CategoricalConfig
    | CategoricalCodesConfig
    | MuLawConfig
    | MuLawMixtureConfig
    | SpectralConfig
    | CepstralConfig
)

__all__ = [
    "BinnedLikelihood",
    "Categorical",
    "CategoricalCodes",
    "CategoricalCodesConfig",
    "CategoricalConfig",
    "Cepstral",
    "CepstralConfig",
    "Gaussian",
    "GaussianConfig",
    "Likelihood",
    "LikelihoodConfig",
    "LogisticMixture",
    "LogisticMixtureConfig",
    "MuLaw",
    "MuLawConfig",
    "MuLawMixture",
    "MuLawMixtureConfig",
    "Spectral",
    "SpectralConfig",
]
