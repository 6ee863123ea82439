"""Training criteria of decoders: distributions over raw data given the decoder's output, and distances."""

from vqvae.likelihoods.adversary import Adversary
from vqvae.likelihoods.base import BinnedLikelihood, Criterion, Expecting, Likelihood, ParametricLikelihood
from vqvae.likelihoods.categorical import Categorical, CategoricalConfig
from vqvae.likelihoods.categorical_codes import CategoricalCodes, CategoricalCodesConfig
from vqvae.likelihoods.cepstral import Cepstral, CepstralConfig
from vqvae.likelihoods.distance import Distance
from vqvae.likelihoods.gaussian import Gaussian, GaussianConfig
from vqvae.likelihoods.gaussian_density import GaussianDensity, GaussianDensityConfig
from vqvae.likelihoods.logistic_mixture import LogisticMixture, LogisticMixtureConfig
from vqvae.likelihoods.mu_law import MuLaw, MuLawConfig
from vqvae.likelihoods.mu_law_mixture import MuLawMixture, MuLawMixtureConfig
from vqvae.likelihoods.pixel_distance import PixelDistance, PixelDistanceConfig
from vqvae.likelihoods.spectral import Spectral, SpectralConfig

LikelihoodConfig = (
    GaussianConfig
    | LogisticMixtureConfig
    | CategoricalConfig
    | CategoricalCodesConfig
    | GaussianDensityConfig
    | MuLawConfig
    | MuLawMixtureConfig
)
DistanceConfig = SpectralConfig | CepstralConfig | PixelDistanceConfig
CriterionConfig = LikelihoodConfig | DistanceConfig

__all__ = [
    "Adversary",
    "BinnedLikelihood",
    "Categorical",
    "CategoricalCodes",
    "CategoricalCodesConfig",
    "CategoricalConfig",
    "Cepstral",
    "CepstralConfig",
    "Criterion",
    "CriterionConfig",
    "Distance",
    "DistanceConfig",
    "Expecting",
    "Gaussian",
    "GaussianConfig",
    "GaussianDensity",
    "GaussianDensityConfig",
    "Likelihood",
    "LikelihoodConfig",
    "LogisticMixture",
    "LogisticMixtureConfig",
    "MuLaw",
    "MuLawConfig",
    "MuLawMixture",
    "MuLawMixtureConfig",
    "ParametricLikelihood",
    "PixelDistance",
    "PixelDistanceConfig",
    "Spectral",
    "SpectralConfig",
]
