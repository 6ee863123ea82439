"""The vector-quantized variational autoencoder: [VQVAE §3], https://arxiv.org/abs/1711.00937."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vqvae.data.base import Batch, Objective
from vqvae.errors import ConfigError
from vqvae.likelihoods import LikelihoodConfig
from vqvae.models.autoencoder import CodeAutoencoder, per_dim
from vqvae.models.base import Bound, Level, LogPrior
from vqvae.networks import DecoderConfig, EncoderConfig, ImageDecoderConfig, ImageEncoderConfig
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
        self.config = config
        self.quantizer = config.quantizer.build()
        books, size = self.quantizer.num_codebooks, self.quantizer.codebook_size
        self.register_buffer("rate", torch.zeros(books, size) if config.rated else None)
        self._connect(config.likelihood, config.encoder, config.decoder, self.quantizer.dim, self.quantizer.dim)
        self.layout = (Level(books, size, self.encoder.stride),)

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch; metrics besides those of every model: the quantizer's loss, perplexity and share of codes used."""
        return self.objective(batch, self.quantize(self.latents(batch)))

    def quantize(self, latents: Float[Tensor, "batch dim *space"]) -> Quantized:
        """Latents to codes and vectors, by distance and, where it is rated, cost."""
        return self.quantizer(latents, rate=self.rate)

    def objective(self, batch: Batch, quantized: Quantized) -> Objective:
        """``forward`` from what ``quantize`` has made of the batch's latents."""
        log_likelihood = self._log_likelihood(quantized.vectors, batch)
        loss = per_dim(-log_likelihood, batch) + quantized.loss
        bound = Bound(log_likelihood + self._log_prior(quantized.codes), log_likelihood)
        metrics = {**self._metrics(bound, batch), "quantizer_loss": quantized.loss.detach(), **self._usage(quantized.codes)}
        return Objective(loss, metrics)

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """log p(x|z_q(x)) + log p(z_q(x)): a lower bound on log p(x) [VQVAE §3.2].

        The prior is uniform unless ``log_prior`` is given: then N·log K nats are taken off for N codes, the KL term that
        training leaves out because it is constant. Nothing is drawn.

        Raises:
            ConfigError: the quantizer has no codes, so there is no p(z).
        """
        if self.quantizer.num_codebooks == 0:
            raise ConfigError(f"{type(self.quantizer).__name__} has no codes, so there is no bound on log p(x); use another quantizer.")
        (codes,) = self.encode(batch)
        log_likelihood = self.log_likelihood(batch, (codes,))
        return Bound(log_likelihood + self._log_prior(codes, log_prior), log_likelihood)

    def encode(self, batch: Batch) -> tuple[Int[Tensor, "batch codebooks *space"], ...]:
        """Data to codes: one level."""
        return (self.quantize(self.latents(batch)).codes,)

    @torch.no_grad()
    def start(self, batches: Iterable[Batch]) -> None:
        """Start the codebooks by k-means over the latents of these batches, unless they have started already."""
        if not self.quantizer.started:
            latents = [self.latents(batch) for batch in batches]
            rows = torch.cat([part.movedim(1, -1).reshape(-1, self.quantizer.dim) for part in latents])
            self.quantizer.start(rows.float())

    def _vectors(self, codes: Int[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        return self.quantizer.decode(codes)
