"""The discrete VAE trained through Gumbel-softmax samples: https://arxiv.org/abs/1611.01144 and https://arxiv.org/abs/1611.00712."""

from collections.abc import Iterable
from dataclasses import field

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from vqvae.codes import Codes, Level, LogPrior
from vqvae.config import Foreign, settings
from vqvae.data.base import Batch, Objective
from vqvae.errors import ConfigError
from vqvae.likelihoods import LikelihoodConfig
from vqvae.models.autoencoder import CodeAutoencoder, build_network, per_dim
from vqvae.models.base import Bound
from vqvae.models.categorical import CategoricalPosterior
from vqvae.networks import DecoderConfig, EncoderConfig, ImageDecoderConfig, ImageEncoderConfig


@settings
class GumbelSoftmaxConfig:
    """An encoder that predicts probabilities of codes, a temperature, a decoder and a likelihood."""

    codebook_size: int
    """K, codes of each codebook."""
    num_codebooks: int = 1
    """Number of codebooks, which is the number of codes per position."""
    dim: int
    """Channels of the decoder's input vectors, over all codebooks."""
    likelihood: LikelihoodConfig | Foreign
    """p(x | z); its ``channels`` are those of the data."""
    encoder: EncoderConfig | Foreign = field(default_factory=ImageEncoderConfig)
    """Data to the probabilities of codes."""
    decoder: DecoderConfig | Foreign = field(default_factory=ImageDecoderConfig)
    """Vectors to the likelihood's parameters."""
    straight_through: bool = False
    """Whether to train the decoder on one code per position with the gradient of the mixture, instead of on the mixture."""
    start_temperature: float = 1.0
    """Temperature of the mixtures at the first training step."""
    end_temperature: float = 0.0625
    """Temperature after annealing. A low temperature makes mixtures nearly one-hot, and gradients noisy."""
    anneal_steps: int = 100_000
    """Number of training batches over which the temperature changes geometrically. A step of n accumulated parts counts n."""

    def build(self) -> "GumbelSoftmax":
        return GumbelSoftmax(self)


class GumbelSoftmax(CodeAutoencoder):
    """Discrete VAE. In training, the decoder gets mixtures of codes, made nearly one-hot by noise and a temperature.

    x ─ encoder ─ log q(z|x) ─ softmax((log q + Gumbel noise) / temperature) ─ mixture of vectors ─ decoder ─ p(x | z)

    The objective is −log p(x|mixture) + KL(q(z|x) ‖ uniform) in nats per dimension, with the KL term in closed form. A mixture is not
    a code, so in training mode ``nats_per_dim`` is not a bound. With ``straight_through`` it is none either, because of the gradient. In
    evaluation mode and in ``bound``, codes are drawn from q(z|x), and it is a bound.
    """

    steps: Tensor

    def __init__(self, config: GumbelSoftmaxConfig) -> None:
        super().__init__()
        if not 0 < config.end_temperature <= config.start_temperature:
            raise ConfigError(
                f"start_temperature is {config.start_temperature} and end_temperature is {config.end_temperature}; "
                "both must be positive, and the end not above the start."
            )
        if config.anneal_steps < 0:
            raise ConfigError(f"anneal_steps is {config.anneal_steps}; it must not be negative (0: the end temperature throughout).")
        self.config = config
        self.posterior = CategoricalPosterior(codebook_size=config.codebook_size, num_codebooks=config.num_codebooks, dim=config.dim)
        self._connect(build_network(config, latent_dim=self.posterior.num_logits, dim=config.dim))
        self.check_likelihood()
        self.layout = (Level(config.num_codebooks, config.codebook_size, self.stride, self.lead),)
        # Saved, so that a resumed run continues at its temperature.
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def temperature(self) -> Float[Tensor, ""]:
        """The temperature of the next training batch."""
        config = self.config
        done = (self.steps / config.anneal_steps).clamp(max=1) if config.anneal_steps else torch.ones_like(self.steps, dtype=torch.float32)
        return config.start_temperature * (config.end_temperature / config.start_temperature) ** done

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch. Further metrics: the temperature, the reconstruction error, perplexity and share of codes used.

        In evaluation mode it is the negative of ``bound``. Only training batches with gradients enabled count as steps.
        """
        log_probs = self.posterior.log_probs(self.latents(batch))
        vectors = self._relaxed(log_probs) if self.training else self.posterior.look_up(self.posterior.sample(log_probs, 1)[0])
        parameters = self._parameters_of(vectors, batch)
        log_likelihood, mask = -self._cost(parameters, batch), self._mask(batch)
        bound = Bound(log_likelihood - self.posterior.kl(log_probs, mask), log_likelihood)
        own = {"temperature": self.temperature, **self._error(parameters, batch)}
        metrics = {**self._metrics(bound, batch), **own, **self._usage(log_probs.argmax(2), mask)}
        if self.training and torch.is_grad_enabled():
            self.steps = self.steps + 1  # Not in place: a compiled backward pass reads the value before this step.
        return Objective(per_dim(-bound.nats, batch), metrics)

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """The evidence lower bound, with codes drawn from q(z|x), one set per example.

        Its KL to the uniform prior is in closed form. With ``log_prior``, log p(z) is that of the drawn codes, and the entropy
        of q(z|x) is in closed form.
        """
        log_probs = self.posterior.log_probs(self.latents(batch))
        drawn = self.posterior.sample(log_probs, 1)[0]
        log_likelihood = self._log_likelihood(self.posterior.look_up(drawn), batch)
        log_p = self._log_prior(drawn, batch, log_prior)
        return Bound(log_likelihood + log_p + self.posterior.entropy(log_probs, self._mask(batch)), log_likelihood)

    def encode(self, batch: Batch) -> Codes:
        """Data to codes: the most likely at each position, without noise."""
        return self._likeliest(self.posterior.log_probs(self.latents(batch)), batch)

    def start(self, batches: Iterable[Batch]) -> None:
        """Does nothing: the codebooks start at random and learn by gradient."""

    def vectors(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        return self.posterior.vectors(codes)

    def _relaxed(self, log_probs: Float[Tensor, "batch codebooks codebook_size *space"]) -> Float[Tensor, "batch dim *space"]:
        """Vectors of the mixtures, or of their most likely codes with the gradient of the mixtures [Jang et al. 2017, §2.2]."""
        # -log of an exponential variate is a Gumbel variate.
        noisy = log_probs - torch.empty_like(log_probs).exponential_().log()
        weights = (noisy / self.temperature).softmax(2)
        if self.config.straight_through:
            single = torch.zeros_like(weights).scatter_(2, weights.argmax(2, keepdim=True), 1)
            weights = single + (weights - weights.detach())
        return self.posterior.mix(weights)
