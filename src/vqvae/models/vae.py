"""The variational autoencoder with Gaussian latents: Kingma & Welling 2014, https://arxiv.org/abs/1312.6114."""

import math
from dataclasses import field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vqvae.codes import LogPrior
from vqvae.config import Foreign, check_at_least, settings
from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import LikelihoodConfig
from vqvae.models.autoencoder import Autoencoder, build_network, per_dim
from vqvae.models.base import Bound, importance_weighted
from vqvae.models.decoding import check_positions
from vqvae.networks import DecoderConfig, EncoderConfig, ImageDecoderConfig, ImageEncoderConfig

_WIDEST = 7.0


@settings
class VAEConfig:
    """An encoder, Gaussian latents, a decoder and a likelihood."""

    dim: int
    """Latent channels per position."""
    likelihood: LikelihoodConfig | Foreign
    """p(x | z); its ``channels`` are those of the data."""
    encoder: EncoderConfig | Foreign = field(default_factory=ImageEncoderConfig)
    """Data to the mean and the scale of the latents."""
    decoder: DecoderConfig | Foreign = field(default_factory=ImageDecoderConfig)
    """Latents to the likelihood's parameters."""
    free_bits: float = 0.0
    """KL that costs nothing in training, in nats per latent channel over all positions. 0: off. Bounds do not use it."""

    def build(self) -> "VAE":
        return VAE(self)


class GaussianPosterior(NamedTuple):
    """q(z|x): a Gaussian for each channel of each position, in float32."""

    mean: Float[Tensor, "batch dim *space"]
    log_scale: Float[Tensor, "batch dim *space"]
    """log σ, clamped to [-7, 7]."""


class VAE(Autoencoder):
    """VAE: Gaussian latents with a standard normal prior. It has no codes, so it is not a tokenizer.

    x ─ encoder ─ mean, log σ ─ z = mean + σ·noise ─ decoder ─ parameters ─ likelihood ─ p(x | z)

    The objective is the negative evidence lower bound in nats per dimension, with its KL term in closed form. With ``free_bits`` the KL
    of each channel, averaged over the batch, costs at least that much [Kingma et al. 2016, arXiv 1606.04934].
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        check_at_least(1, config, "dim")
        if not config.free_bits >= 0:
            raise ConfigError(f"free_bits is {config.free_bits}; it must not be negative (0 is off).")
        self.config = config
        self._connect(build_network(config, latent_dim=2 * config.dim, dim=config.dim))
        self.check_likelihood()

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch. The metrics are those of every model, without free bits, and the reconstruction error."""
        posterior = self.posterior(batch)
        kl = _kl(posterior, self._mask(batch))
        parameters = self._parameters_of(_draw(posterior), batch)
        log_likelihood = -self._cost(parameters, batch)
        examples = max(len(kl), 1)
        charged = (kl.sum(0) / examples).clamp(min=self.config.free_bits).sum() * examples
        loss = per_dim(-log_likelihood, batch) + charged / _dims(batch)
        metrics = self._metrics(Bound(log_likelihood - kl.sum(1), log_likelihood), batch)
        return Objective(loss, {**metrics, **self._error(parameters, batch)})

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """The evidence lower bound, with one z drawn for log p(x|z) and the KL term in closed form.

        Raises:
            ConfigError: if a prior over codes is given.
        """
        if log_prior is not None:
            raise ConfigError("VAE has no codes, so it takes no prior over codes; its prior is the standard normal. Omit log_prior.")
        posterior = self.posterior(batch)
        log_likelihood = self._log_likelihood(_draw(posterior), batch)
        return Bound(log_likelihood - _kl(posterior, self._mask(batch)).sum(1), log_likelihood)

    def importance_bound(self, batch: Batch, samples: int) -> Bound:
        """The importance-weighted bound: log of the mean over ``samples`` of p(x|z) p(z) / q(z|x). With more samples it rises to log p(x).

        Raises:
            ConfigError: if there are no samples.
        """
        check_at_least(1, "", samples=samples)
        (mean, log_scale), mask = self.posterior(batch), self._mask(batch)
        log_likelihoods, log_ratios = [], []
        for _ in range(samples):
            noise = torch.randn_like(mean)
            latents = mean + log_scale.exp() * noise
            log_likelihoods.append(self._log_likelihood(latents, batch))
            # log p(z) - log q(z|x); the constants cancel.
            ratio = 0.5 * (noise.square() - latents.square()) + log_scale
            log_ratios.append((ratio if mask is None else ratio * mask.unsqueeze(1)).flatten(1).sum(1))
        return importance_weighted(torch.stack(log_likelihoods), torch.stack(log_ratios))

    def posterior(self, batch: Batch) -> GaussianPosterior:
        """q(z|x)."""
        latents = self.latents(batch)
        mean, log_scale = latents.to(torch.promote_types(latents.dtype, torch.float32)).chunk(2, dim=1)
        return GaussianPosterior(mean, log_scale.clamp(-_WIDEST, _WIDEST))

    def log_likelihood(self, batch: Batch, latents: Tensor) -> Float[Tensor, " batch"]:
        """log p(x|z) of given latents (batch, dim, *space), in nats per example.

        Raises:
            DataError: if the data does not match the signal, or the latents do not fit the model or the data.
        """
        self.signal.check(batch.x)
        latents = self._check_latents(latents)
        check_positions("Latents", (len(latents), *latents.shape[2:]), self.stride, batch, self.lead)
        return self._log_likelihood(latents, batch)

    def decode(
        self,
        latents: Tensor,
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Latents (batch, dim, *space) to data: the likelihood's mode at temperature 0, else a sample. ``size`` cuts off the padding.

        Raises:
            DataError: if the latents do not fit the model.
        """
        return self._decode(self._check_latents(latents), condition, generator, temperature, size)

    def _check_latents(self, latents: Tensor) -> Tensor:
        """The latents in float32 at least; autocast may still narrow them."""
        expected = f"floats ({', '.join(['batch', str(self.config.dim), *self.signal.axes])})"
        if not isinstance(latents, Tensor) or not latents.is_floating_point():
            raise DataError(f"Latents are {getattr(latents, 'dtype', type(latents).__name__)}; expected {expected}.")
        if latents.ndim != 2 + len(self.stride) or latents.shape[1] != self.config.dim or 0 in latents.shape[2:]:
            raise DataError(f"Latents have the shape {tuple(latents.shape)}; expected {expected}.")
        return latents.to(torch.promote_types(latents.dtype, torch.float32))


def _draw(posterior: GaussianPosterior) -> Float[Tensor, "batch dim *space"]:
    """z = mean + σ·noise, with gradients."""
    return posterior.mean + posterior.log_scale.exp() * torch.randn_like(posterior.mean)


def _dims(batch: Batch) -> Tensor | int:
    """The number of unmasked values of the batch; at least 1."""
    return max(batch.x.numel(), 1) if batch.mask is None else (batch.mask.sum() * batch.x.shape[1]).clamp(min=1)


def _kl(posterior: GaussianPosterior, mask: Bool[Tensor, "batch *space"] | None = None) -> Float[Tensor, "batch dim"]:
    """KL(q(z|x) ‖ p(z)) of each channel, summed over unmasked positions [Kingma & Welling 2014, appendix B]."""
    mean, log_scale = posterior
    # expm1: for a nearly standard normal the plain formula would leave only rounding.
    kl = 0.5 * (mean.square() + torch.expm1(2 * log_scale)) - log_scale
    kl = kl if mask is None else kl * mask.unsqueeze(1)
    return kl.reshape(*kl.shape[:2], math.prod(kl.shape[2:])).sum(2)
