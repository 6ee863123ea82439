"""Discrete latents trained on a multi-sample bound: VIMCO, Mnih & Rezende 2016, https://arxiv.org/abs/1602.06725."""

from collections.abc import Iterable
from dataclasses import field

import torch
from jaxtyping import Float, Int, Integer
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from vqvae.codes import Codes, Level, LogPrior
from vqvae.config import Foreign, check_at_least, settings
from vqvae.data.base import Batch, Objective
from vqvae.errors import ConfigError
from vqvae.likelihoods import LikelihoodConfig
from vqvae.models.autoencoder import CodeAutoencoder, build_network, per_dim
from vqvae.models.base import Bound, importance_weighted
from vqvae.models.categorical import CategoricalPosterior
from vqvae.networks import DecoderConfig, EncoderConfig, ImageDecoderConfig, ImageEncoderConfig

NEGLIGIBLE = 2.0**-24
"""A sample with a smaller share of the bound changes its gradient by less than float32 rounding."""


@settings
class VIMCOConfig:
    """An encoder that predicts probabilities of codes, a number of samples, a decoder and a likelihood."""

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
    samples: int = 50
    """Samples of codes per example, at least 2. The paper's comparison has 50 [VQVAE §4.1]."""
    resampled: int = 0
    """Samples per example to decode again for the gradient, drawn by their share of the bound. 0: all samples with a share."""
    decode_at_once: int = 256
    """Samples, over all examples, that the decoder processes at once. This limits memory and does not change results."""

    def build(self) -> "VIMCO":
        return VIMCO(self)


class VIMCO(CodeAutoencoder):
    """VIMCO. The objective is the negative of log 1/k Σ_i p(x|z_i) p(z_i) / q(z_i|x) in nats per dimension, with p(z) uniform.

    x ─ encoder ─ q(z|x) ─ k samples z_i ─ vectors ─ decoder ─ p(x | z_i) ─ one weighted mean

    Its gradient has two parts: one through the weights, one through the choice of samples. A leave-one-out baseline compares each sample
    with the others. All samples are decoded once without gradients. Only samples with a share of the bound are decoded again with
    gradients. They are few once the decoder uses the codes. With ``resampled`` they are few from the start: drawn by their shares, they
    give a gradient with the same mean and slightly more noise.
    """

    def __init__(self, config: VIMCOConfig) -> None:
        super().__init__()
        check_at_least(1, config, "decode_at_once")
        if config.samples < 2:
            raise ConfigError(f"samples is {config.samples}; it must be at least 2, because each is compared with the others.")
        if config.resampled < 0:
            raise ConfigError(f"resampled is {config.resampled}; it must not be negative (0: every sample with a share of the bound).")
        self.config = config
        self.posterior = CategoricalPosterior(codebook_size=config.codebook_size, num_codebooks=config.num_codebooks, dim=config.dim)
        self._connect(build_network(config, latent_dim=self.posterior.num_logits, dim=config.dim))
        self.check_likelihood()
        self.layout = (Level(config.num_codebooks, config.codebook_size, self.stride, self.lead),)

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch. Further metrics: the reconstruction error of the likeliest codes, perplexity and share of codes used.

        The loss has the value of the bound and the gradient of the estimator.
        """
        log_probs = self.posterior.log_probs(self.latents(batch))
        codes = self.posterior.sample(log_probs, self.config.samples)
        mask = self._mask(batch)
        log_q = self.posterior.log_prob(log_probs, codes, mask)
        with torch.no_grad():
            log_likelihood = self._log_likelihoods(codes, batch)
            log_ratio = torch.stack([self._log_prior(sample, batch) for sample in codes]) - log_q
            bound = importance_weighted(log_likelihood, log_ratio)
            log_weights = log_likelihood + log_ratio
            shares, credits = log_weights.softmax(0), leave_one_out(log_weights)
        nats = bound.nats
        if torch.is_grad_enabled():
            sample, example, weight = self._selected(shares)
            again = weight * self._of_rows(codes[sample, example], batch.take(example))
            carrier = ((credits - shares) * log_q).sum(0).index_add(0, example, again)
            nats = nats + (carrier - carrier.detach())
        likeliest = log_probs.argmax(2)
        metrics = {**self._metrics(bound, batch), **self._error_of(likeliest, batch), **self._usage(likeliest, mask)}
        return Objective(per_dim(-nats, batch), metrics)

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """The multi-sample bound with as many samples as in training."""
        return self.importance_bound(batch, self.config.samples, log_prior)

    def importance_bound(self, batch: Batch, samples: int, log_prior: LogPrior | None = None) -> Bound:
        """log of the mean over ``samples`` of p(x|z) p(z) / q(z|x). With more samples it rises to log p(x).

        Raises:
            ConfigError: if there are no samples.
        """
        check_at_least(1, "", samples=samples)
        log_probs = self.posterior.log_probs(self.latents(batch))
        codes = self.posterior.sample(log_probs, samples)
        log_p = torch.stack([self._log_prior(sample, batch, log_prior) for sample in codes])
        return importance_weighted(
            self._log_likelihoods(codes, batch), log_p - self.posterior.log_prob(log_probs, codes, self._mask(batch))
        )

    def encode(self, batch: Batch) -> Codes:
        """Data to codes: the most likely at each position, without noise."""
        return self._likeliest(self.posterior.log_probs(self.latents(batch)), batch)

    def start(self, batches: Iterable[Batch]) -> None:
        """Do nothing: the codebooks start random and learn by gradient."""

    def vectors(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        return self.posterior.vectors(codes)

    def _selected(
        self, shares: Float[Tensor, "samples batch"]
    ) -> tuple[Int[Tensor, " rows"], Int[Tensor, " rows"], Float[Tensor, " rows"]]:
        """The samples and examples to decode again, and the weight of each."""
        if not self.config.resampled:
            sample, example = torch.nonzero(shares > NEGLIGIBLE, as_tuple=True)
            return sample, example, shares[sample, example]
        count = self.config.resampled
        example = torch.arange(shares.shape[1], device=shares.device).repeat_interleave(count)
        if not len(example):
            return example, example, shares.new_empty(0)
        # If the loss is NaN, shares are meaningless. Drawing by them would hide the trainer's error behind another one.
        sample = torch.multinomial(shares.T.nan_to_num(nan=1), count, replacement=True).flatten()
        return sample, example, shares.new_full(example.shape, 1 / count)

    def _error_of(self, codes: Int[Tensor, "batch codebooks *space"], batch: Batch) -> dict[str, Tensor]:
        """The reconstruction error of codes, decoded without gradients."""
        if not self._has_error(batch):
            return {}
        with torch.no_grad():
            return self._error(self._parameters_of(self.posterior.look_up(codes), batch), batch)

    def _log_likelihoods(self, codes: Int[Tensor, "samples batch codebooks *space"], batch: Batch) -> Float[Tensor, "samples batch"]:
        """log p(x|z) of every sample."""
        rows = torch.arange(len(batch.x), device=codes.device).repeat(len(codes))
        return self._of_rows(codes.flatten(0, 1), batch.take(rows)).view(codes.shape[:2])

    def _of_rows(self, codes: Int[Tensor, "rows codebooks *space"], rows: Batch) -> Float[Tensor, " rows"]:
        """log p(x|z), in pieces. If there are several, the backward pass recomputes their activations."""
        pieces = torch.arange(len(codes), device=codes.device).split(self.config.decode_at_once)
        if len(pieces) < 2 or not torch.is_grad_enabled():
            return torch.cat([self._of_piece(codes[piece], rows.take(piece)) for piece in pieces])
        return torch.cat([checkpoint(self._of_piece, codes[piece], rows.take(piece), use_reentrant=False) for piece in pieces])

    def _of_piece(self, codes: Int[Tensor, "rows codebooks *space"], rows: Batch) -> Float[Tensor, " rows"]:
        return self._log_likelihood(self.posterior.look_up(codes), rows)


def leave_one_out(log_weights: Float[Tensor, "samples batch"]) -> Float[Tensor, "samples batch"]:
    """Each sample's contribution to the bound: the bound, minus the bound with the sample's weight replaced by the geometric mean of
    the others' weights [Mnih & Rezende 2016]. Exact in log space for weights of any size."""
    samples = len(log_weights)
    # Relative to the largest weight, digits are kept that sums of thousands of nats would lose.
    centred = log_weights - log_weights.amax(0)
    others = (centred.sum(0) - centred) / (samples - 1)
    replaced = centred.expand(samples, *centred.shape).clone()
    replaced.diagonal().copy_(others.T)
    return centred.logsumexp(0) - replaced.logsumexp(1)
