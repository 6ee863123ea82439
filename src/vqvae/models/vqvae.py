"""The vector-quantized variational autoencoder: [VQVAE §3], https://arxiv.org/abs/1711.00937."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import field

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from vqvae.codes import Codes, Level, LogPrior
from vqvae.config import Foreign, settings
from vqvae.data.base import Batch, Objective
from vqvae.errors import ConfigError
from vqvae.layers.jitter import jitter
from vqvae.likelihoods import Criterion, CriterionConfig, DistanceConfig
from vqvae.models.autoencoder import CodeAutoencoder, Network, build_network, config_of, per_dim
from vqvae.models.base import Bound
from vqvae.networks import DecoderConfig, EncoderConfig, ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import CodebookQuantizer, Quantized, Quantizer, QuantizerConfig
from vqvae.signals import Signal


@settings
class WeightedConfig:
    """A distance that is added to the objective."""

    criterion: DistanceConfig | Foreign
    """What is added; it looks at the data that the decoder expects, and so has as many parameters as data has channels."""
    weight: float = 1.0
    """How often it counts."""


@settings
class VQVAEConfig:
    """An encoder, a quantizer, a decoder and criteria. The sizes where they meet follow from the quantizer and the likelihood."""

    quantizer: QuantizerConfig | Foreign
    """Latents to codes; its ``dim`` is the width of the bottleneck."""
    likelihood: CriterionConfig | Foreign
    """What the decoder's output means: p(x | z), or a distance, which is no density; its ``channels`` are those of the data."""
    encoder: EncoderConfig | Foreign = field(default_factory=ImageEncoderConfig)
    """Data to latents."""
    decoder: DecoderConfig | Foreign = field(default_factory=ImageDecoderConfig)
    """Vectors to the likelihood's parameters."""
    criteria: tuple[WeightedConfig, ...] = ()
    """Distances beside the likelihood, such as perceptual and adversarial ones."""
    rated: bool = False
    """Whether codes are chosen by what they cost, too, and not by their distance alone; joint training finds out what they cost."""
    jitter: float = 0.0
    """Share of the vectors that in training are replaced by a neighbour's along the last axis, so that no code says too much alone."""

    def build(self) -> "VQVAE":
        quantizer = self.quantizer.build()
        network = build_network(self, latent_dim=quantizer.dim, dim=quantizer.dim)
        return VQVAE(**network._asdict(), quantizer=quantizer, rated=self.rated, jitter=self.jitter)


class VQVAE(CodeAutoencoder):
    """VQ-VAE.

    x ─ encoder ─ z_e ─ quantizer ─ z (codes)
                            └─ z_q ─ decoder ─ parameters ─ criterion: −log p(x | z)

    The objective is −log p(x|z_q) in nats a dimension plus the quantizer's loss [VQVAE eq. 3], and plus each further criterion times its
    weight. The KL term, N·log K nats for N codes, is constant and left out of the objective; the metrics have it.
    """

    rate: Float[Tensor, "codebooks codebook_size"] | None
    """What each code costs, as a squared distance (only where it is rated); 0 at first."""

    def __init__(
        self,
        *,
        encoder: nn.Module,
        quantizer: Quantizer,
        decoder: nn.Module,
        criterion: Criterion,
        further: Sequence[tuple[float, Criterion]] = (),
        signal: Signal | None = None,
        rated: bool = False,
        jitter: float = 0.0,
    ) -> None:
        """Join parts: modules of the package, or any that keep the contract of ``networks/base.py``.

        Args:
            encoder: raw data to latents; it has a ``stride``.
            quantizer: latents to codes.
            decoder: vectors and a condition to the parameters of the criterion; it has the same ``stride``.
            criterion: a likelihood or a distance.
            further: distances beside it, each with its weight.
            signal: what data is; it follows from the criterion and the stride where it is left out.
            rated: see ``VQVAEConfig``.
            jitter: see ``VQVAEConfig``.

        Raises:
            ConfigError: the parts do not fit each other.
        """
        super().__init__()
        if not 0 <= jitter <= 1:
            raise ConfigError(f"jitter is {jitter}; it must lie between 0 (off) and 1.")
        if rated and not isinstance(quantizer, CodebookQuantizer):
            raise ConfigError(f"rated is True, but {type(quantizer).__name__} has no codebook whose codes could cost more or less.")
        self.jitter, self.quantizer = jitter, quantizer
        books, size = quantizer.num_codebooks, quantizer.codebook_size
        self.register_buffer("rate", torch.zeros(books, size) if rated else None)
        self._connect(Network(encoder, decoder, criterion, tuple(further), signal))
        self.layout = (Level(books, size, self.stride),)
        self.config = self._config(rated)

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch; metrics besides those of every model: the quantizer's loss, perplexity and share of codes used."""
        return self.objective(batch, self.quantize(self.latents(batch), self._mask(batch)))

    def quantize(self, latents: Float[Tensor, "batch dim *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> Quantized:
        """Latents to codes and vectors, by distance and, where it is rated, cost; where the mask is False, to code 0 and zeros."""
        if self.rate is not None:
            return self.quantizer(latents, mask, costs=self.rate)
        return self.quantizer(latents, mask)

    def objective(self, batch: Batch, quantized: Quantized) -> Objective:
        """``forward`` from what ``quantize`` has made of the batch's latents."""
        mask = self._mask(batch)
        vectors = jitter(quantized.vectors, self.jitter, mask) if self.training else quantized.vectors
        parameters = self._parameters_of(vectors, batch)
        cost = self.criterion.loss(parameters, batch.x, batch.mask)
        further = self._further(parameters, batch)
        loss = per_dim(cost, batch) + quantized.loss
        loss = loss + further.loss if self.further else loss
        bound = Bound(self._log_prior(quantized.codes, batch) - cost, -cost)
        own = {"quantizer_loss": quantized.loss.detach(), **further.metrics}
        return Objective(loss, {**self._metrics(bound, batch), **own, **self._usage(quantized.codes, mask)}, further.adversary)

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """log p(x|z_q(x)) + log p(z_q(x)): a lower bound on log p(x) [VQVAE §3.2].

        The prior is uniform unless ``log_prior`` is given: then N·log K nats are taken off for N codes, the KL term that
        training leaves out because it is constant. Nothing is drawn.

        Raises:
            ConfigError: the quantizer has no codes, so there is no p(z); or the likelihood is no density.
        """
        if self.quantizer.num_codebooks == 0:
            raise ConfigError(f"{type(self.quantizer).__name__} has no codes, so there is no bound on log p(x); use another quantizer.")
        codes = self.encode(batch).tensor
        log_likelihood = self.log_likelihood(batch, codes)
        return Bound(log_likelihood + self._log_prior(codes, batch, log_prior), log_likelihood)

    def encode(self, batch: Batch) -> Codes:
        """Data to codes: one level. A latent without data has the code 0."""
        mask = self._mask(batch)
        return Codes([self.quantize(self.latents(batch), mask).codes], [mask])

    @torch.no_grad()
    def start(self, batches: Iterable[Batch]) -> None:
        """Start the codebooks by k-means over the latents of these batches, unless they have started already."""
        if isinstance(self.quantizer, CodebookQuantizer) and not self.quantizer.started:
            self.quantizer.start(torch.cat([self._rows(batch) for batch in batches]).float())

    def vectors(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        return self.quantizer.decode(codes)

    def _rows(self, batch: Batch) -> Float[Tensor, "rows dim"]:
        """The latents that count, one below the other."""
        rows, mask = self.latents(batch).movedim(1, -1), self._mask(batch)
        return rows.reshape(-1, self.quantizer.dim) if mask is None else rows[mask]

    def _config(self, rated: bool) -> VQVAEConfig | None:
        """The configuration that builds this model again; None where a part has none."""
        parts = {"encoder": self.encoder, "quantizer": self.quantizer, "decoder": self.decoder, "likelihood": self.criterion}
        further = [getattr(part, "config", None) for part in self.further]
        if not all(map(dataclasses.is_dataclass, further)):
            return None
        criteria = tuple(WeightedConfig(criterion=config, weight=weight) for weight, config in zip(self.weights, further, strict=True))
        return config_of(VQVAEConfig, parts, criteria=criteria, rated=rated, jitter=self.jitter)
