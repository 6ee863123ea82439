"""The vector-quantized variational autoencoder: [VQVAE §3], https://arxiv.org/abs/1711.00937."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vqvae.data.base import Batch, Objective
from vqvae.errors import ConfigError
from vqvae.layers.jitter import jitter
from vqvae.likelihoods import LikelihoodConfig
from vqvae.models.autoencoder import CodeAutoencoder, per_dim
from vqvae.models.base import Bound, Level, LogPrior
from vqvae.models.decoding import latent_mask
from vqvae.networks import AutoregressiveDecoder, DecoderConfig, EncoderConfig, ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import Quantized, QuantizerConfig


@dataclass(frozen=True, kw_only=True)
class VQVAEConfig:
    """An encoder, a quantizer, a decoder and a likelihood. The sizes where they meet follow from the quantizer and the likelihood."""

    quantizer: QuantizerConfig
    """Latents to codes; its ``dim`` is the width of the bottleneck."""
    likelihood: LikelihoodConfig
    """p(x | z); its ``channels`` are those of the data."""
    encoder: EncoderConfig = field(default_factory=ImageEncoderConfig)
    """Data to latents."""
    decoder: DecoderConfig = field(default_factory=ImageDecoderConfig)
    """Vectors to the likelihood's parameters."""
    rated: bool = False
    """Whether codes are chosen by what they cost, too, and not by their distance alone; joint training finds out what they cost."""
    jitter: float = 0.0
    """Share of the vectors that in training are replaced by a neighbour's along the last axis, so that no code says too much alone."""

    def build(self) -> "VQVAE":
        return VQVAE(self)


class VQVAE(CodeAutoencoder):
    """VQ-VAE.

    x ─ encoder ─ z_e ─ quantizer ─ z (codes)
                            └─ z_q ─ decoder ─ parameters ─ likelihood ─ p(x | z)

    The objective is −log p(x|z_q) in nats a dimension plus the quantizer's loss [VQVAE eq. 3]. The KL term, N·log K nats for N
    codes, is constant and left out of the objective; the metrics have it.
    """

    rate: Float[Tensor, "codebooks codebook_size"] | None
    """What each code costs, as a squared distance (only where it is rated); 0 at first."""

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        if not 0 <= config.jitter <= 1:
            raise ConfigError(f"jitter is {config.jitter}; it must lie between 0 (off) and 1.")
        self.config = config
        self.quantizer = config.quantizer.build()
        books, size = self.quantizer.num_codebooks, self.quantizer.codebook_size
        self.register_buffer("rate", torch.zeros(books, size) if config.rated else None)
        self._connect(config.likelihood, config.encoder, config.decoder, self.quantizer.dim, self.quantizer.dim, needs_density=False)
        self.takes_masks = self.likelihood.takes_masks
        self.layout = (Level(books, size, self.encoder.stride),)
        self.speakers, self.draws = self.decoder.speakers, isinstance(self.decoder, AutoregressiveDecoder)

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch; metrics besides those of every model: the quantizer's loss, perplexity and share of codes used."""
        return self.objective(batch, self.quantize(self.latents(batch), self._mask(batch)))

    def quantize(self, latents: Float[Tensor, "batch dim *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> Quantized:
        """Latents to codes and vectors, by distance and, where it is rated, cost; where the mask is False, to code 0 and zeros."""
        return self.quantizer(latents, mask, self.rate)

    def objective(self, batch: Batch, quantized: Quantized) -> Objective:
        """``forward`` from what ``quantize`` has made of the batch's latents."""
        mask = self._mask(batch)
        vectors = jitter(quantized.vectors, self.config.jitter, mask) if self.training else quantized.vectors
        log_likelihood = self._log_likelihood(vectors, batch)
        loss = per_dim(-log_likelihood, batch) + quantized.loss
        bound = Bound(log_likelihood + self._log_prior(quantized.codes, mask=mask), log_likelihood)
        metrics = {**self._metrics(bound, batch), "quantizer_loss": quantized.loss.detach(), **self._usage(quantized.codes, mask)}
        return Objective(loss, metrics)

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """log p(x|z_q(x)) + log p(z_q(x)): a lower bound on log p(x) [VQVAE §3.2].

        The prior is uniform unless ``log_prior`` is given: then N·log K nats are taken off for N codes, the KL term that
        training leaves out because it is constant. Nothing is drawn.

        Raises:
            ConfigError: the quantizer has no codes, so there is no p(z); or the likelihood is no density.
        """
        if self.quantizer.num_codebooks == 0:
            raise ConfigError(f"{type(self.quantizer).__name__} has no codes, so there is no bound on log p(x); use another quantizer.")
        (codes,) = self.encode(batch)
        log_likelihood = self.log_likelihood(batch, (codes,))
        return Bound(log_likelihood + self._log_prior(codes, log_prior, self._mask(batch)), log_likelihood)

    def encode(self, batch: Batch) -> tuple[Int[Tensor, "batch codebooks *space"], ...]:
        """Data to codes: one level. A latent without data has the code 0."""
        return (self.quantize(self.latents(batch), self._mask(batch)).codes,)

    @torch.no_grad()
    def start(self, batches: Iterable[Batch]) -> None:
        """Start the codebooks by k-means over the latents of these batches, unless they have started already."""
        if not self.quantizer.started:
            self.quantizer.start(torch.cat([self._rows(batch) for batch in batches]).float())

    def _rows(self, batch: Batch) -> Float[Tensor, "rows dim"]:
        """The latents that count, one below the other."""
        rows, mask = self.latents(batch).movedim(1, -1), self._mask(batch)
        return rows.reshape(-1, self.quantizer.dim) if mask is None else rows[mask]

    def _mask(self, batch: Batch) -> Bool[Tensor, "batch *space"] | None:
        """Which latents count; None where all do."""
        return None if batch.mask is None else latent_mask(batch.mask, self.encoder.stride)

    def vectors(self, codes: Int[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        return self.quantizer.decode(codes)
