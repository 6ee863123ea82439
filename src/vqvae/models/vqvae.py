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
    """A distance added to the objective."""

    criterion: DistanceConfig | Foreign
    """The distance. It compares the decoder's mean with data, so it has as many parameters as data has channels."""
    weight: float = 1.0
    """Its weight."""


@settings
class VQVAEConfig:
    """An encoder, a quantizer, a decoder and criteria. The quantizer and the likelihood determine the sizes of their interfaces."""

    quantizer: QuantizerConfig | Foreign
    """Latents to codes; its ``dim`` is the width of the bottleneck."""
    likelihood: CriterionConfig | Foreign
    """The meaning of the decoder's output: p(x | z), or a distance, which is not a density. Its ``channels`` are those of the data."""
    encoder: EncoderConfig | Foreign = field(default_factory=ImageEncoderConfig)
    """Data to latents."""
    decoder: DecoderConfig | Foreign = field(default_factory=ImageDecoderConfig)
    """Vectors to the likelihood's parameters."""
    criteria: tuple[WeightedConfig, ...] = ()
    """Further distances, such as perceptual and adversarial ones."""
    rated: bool = False
    """Whether codes are chosen by cost as well as distance. Joint training learns the costs."""
    jitter: float = 0.0
    """Share of vectors that training replaces by a neighbour along the last axis, so that no single code carries too much."""

    def build(self) -> "VQVAE":
        quantizer = self.quantizer.build()
        network = build_network(self, latent_dim=quantizer.dim, dim=quantizer.dim)
        return VQVAE(**network._asdict(), quantizer=quantizer, rated=self.rated, jitter=self.jitter)


class VQVAE(CodeAutoencoder):
    """VQ-VAE.

    x ─ encoder ─ z_e ─ quantizer ─ z (codes)
                            └─ z_q ─ decoder ─ parameters ─ criterion: −log p(x | z)

    The objective is −log p(x|z_q) in nats per dimension plus the quantizer's loss [VQVAE eq. 3], plus each further criterion times its
    weight. The KL term, N·log K nats for N codes, is constant, so the objective omits it; metrics include it.
    """

    rate: Float[Tensor, "codebooks codebook_size"] | None
    """The cost of each code as a squared distance, only if ``rated``; initially 0."""

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
        """Join parts: modules of the package, or any with the interface of ``networks/base.py``.

        Args:
            encoder: raw data to latents; it has a ``stride``.
            quantizer: latents to codes.
            decoder: vectors and a condition to the parameters of the criterion; it has the same ``stride``.
            criterion: a likelihood or a distance.
            further: further distances, each with its weight.
            signal: the signal of the data. Default: derived from the criterion and the stride.
            rated: see ``VQVAEConfig``.
            jitter: see ``VQVAEConfig``.

        Raises:
            ConfigError: if the parts do not fit together.
        """
        super().__init__()
        if not 0 <= jitter <= 1:
            raise ConfigError(f"jitter is {jitter}; it must lie between 0 (off) and 1.")
        if rated and not isinstance(quantizer, CodebookQuantizer):
            raise ConfigError(f"rated is True, but {type(quantizer).__name__} has no codebook, so its codes cannot have costs.")
        self.jitter, self.quantizer = jitter, quantizer
        books, size = quantizer.num_codebooks, quantizer.codebook_size
        self.register_buffer("rate", torch.zeros(books, size) if rated else None)
        self._connect(Network(encoder, decoder, criterion, tuple(further), signal))
        self.layout = (Level(books, size, self.stride, self.lead),)
        self.config = self._config(rated)

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch. Further metrics: the quantizer's loss, perplexity, share of codes used, reconstruction error."""
        return self.objective(batch, self.quantize(self.latents(batch), self._mask(batch)))

    def quantize(self, latents: Float[Tensor, "batch dim *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> Quantized:
        """Latents to codes and vectors, by distance and, if ``rated``, cost. Where the mask is False: code 0 and zeros."""
        if self.rate is not None:
            return self.quantizer(latents, mask, costs=self.rate)
        return self.quantizer(latents, mask)

    def objective(self, batch: Batch, quantized: Quantized) -> Objective:
        """``forward``, given the output of ``quantize`` for the batch's latents."""
        mask = self._mask(batch)
        vectors = jitter(quantized.vectors, self.jitter, mask) if self.training else quantized.vectors
        parameters = self._parameters_of(vectors, batch)
        cost = self._cost(parameters, batch)
        further = self._further(parameters, batch)
        loss = per_dim(cost, batch) + quantized.loss
        loss = loss + further.loss if self.further else loss
        bound = Bound(self._log_prior(quantized.codes, batch) - cost, -cost)
        own = {"quantizer_loss": quantized.loss.detach(), **further.metrics, **self._error(parameters, batch)}
        return Objective(loss, {**self._metrics(bound, batch), **own, **self._usage(quantized.codes, mask)}, further.adversary)

    def bound(self, batch: Batch, log_prior: LogPrior | None = None) -> Bound:
        """log p(x|z_q(x)) + log p(z_q(x)): a lower bound on log p(x) [VQVAE §3.2].

        The prior is uniform unless ``log_prior`` is given: this subtracts N·log K nats for N codes, the constant KL term
        that training omits. Nothing is drawn.

        Raises:
            ConfigError: if the quantizer has no codes, so there is no p(z), or the criterion is not a density.
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
        """Initialise the codebooks by k-means over the latents of these batches, unless they are initialised."""
        if isinstance(self.quantizer, CodebookQuantizer) and not self.quantizer.started:
            self.quantizer.start(torch.cat([self._rows(batch) for batch in batches]).float())

    def vectors(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        return self.quantizer.decode(codes)

    def _rows(self, batch: Batch) -> Float[Tensor, "rows dim"]:
        """The unmasked latents, one row each."""
        rows, mask = self.latents(batch).movedim(1, -1), self._mask(batch)
        return rows.reshape(-1, self.quantizer.dim) if mask is None else rows[mask]

    def _config(self, rated: bool) -> VQVAEConfig | None:
        """The configuration that rebuilds this model; None if a part has none."""
        parts = {"encoder": self.encoder, "quantizer": self.quantizer, "decoder": self.decoder, "likelihood": self.criterion}
        further = [getattr(part, "config", None) for part in self.further]
        if not all(map(dataclasses.is_dataclass, further)):
            return None
        criteria = tuple(WeightedConfig(criterion=config, weight=weight) for weight, config in zip(self.weights, further, strict=True))
        return config_of(VQVAEConfig, parts, criteria=criteria, rated=rated, jitter=self.jitter)
