"""The vector-quantized variational autoencoder: [VQVAE §3], https://arxiv.org/abs/1711.00937."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vqvae import distributed
from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import LikelihoodConfig
from vqvae.models.base import Level, LogPrior, Reconstruction, Tokenizer
from vqvae.models.decoding import decode_vectors, parameters_of
from vqvae.networks import AutoregressiveDecoder, DecoderConfig, EncoderConfig, ImageDecoderConfig, ImageEncoderConfig
from vqvae.quantizers import QuantizerConfig
from vqvae.quantizers.codebook import perplexity


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

    def build(self) -> "VQVAE":
        return VQVAE(self)


class VQVAE(Tokenizer):
    """VQ-VAE.

    x ─ encoder ─ z_e ─ quantizer ─ z (codes)
                            └─ z_q ─ decoder ─ parameters ─ likelihood ─ p(x | z)

    The objective is −log p(x|z_q) in nats a dimension plus the quantizer's loss [VQVAE eq. 3]. Data of any size is padded at
    its end to what the stride divides, by repeating its edge; the padding is cut off again before the likelihood sees it.
    """

    def __init__(self, config: VQVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.quantizer = config.quantizer.build()
        self.likelihood = config.likelihood.build()
        self.encoder = config.encoder.build(self.likelihood.channels, self.quantizer.dim)
        self.decoder = config.decoder.build(self.quantizer.dim, self.likelihood.num_parameters)
        if self.encoder.stride != self.decoder.stride:
            raise ConfigError(
                f"The encoder's stride is {self.encoder.stride} and the decoder's {self.decoder.stride}; give both as many widths."
            )
        self.channels = self.likelihood.channels
        self.layout = (Level(self.quantizer.num_codebooks, self.quantizer.codebook_size, self.encoder.stride),)

    def forward(self, batch: Batch) -> Objective:
        """The objective of a batch; metrics: nats a dimension, the quantizer's loss, perplexity and share of codes used."""
        quantized = self.quantizer(self.latents(batch))
        log_likelihood = self._log_likelihood(quantized.vectors, batch)
        nats = -log_likelihood.mean() / max(math.prod(batch.x.shape[1:]), 1)
        loss = nats + quantized.loss
        metrics = {"nats_per_dim": nats.detach(), "quantizer_loss": quantized.loss.detach(), **self._usage(quantized.codes)}
        return Objective(loss, metrics)

    def elbo(self, batch: Batch, log_prior: LogPrior | None = None) -> Float[Tensor, " batch"]:
        """log p(x|z_q(x)) + log p(z_q(x)), in nats an example: a lower bound on log p(x) [VQVAE §3.2].

        The prior is uniform unless ``log_prior`` is given: then N·log K nats are taken off for N codes, the KL term that
        training leaves out because it is constant.
        """
        (codes,) = self.encode(batch)
        log_p = -codes[0].numel() * math.log(max(self.quantizer.codebook_size, 1)) if log_prior is None else log_prior(codes)
        return self.log_likelihood(batch, (codes,)) + log_p

    def log_likelihood(self, batch: Batch, codes: tuple[Int[Tensor, "batch codebooks *space"], ...]) -> Float[Tensor, " batch"]:
        """log p(x|z) of given codes, in nats an example."""
        return self._log_likelihood(self.quantizer.decode(codes[0]), batch)

    def encode(self, batch: Batch) -> tuple[Int[Tensor, "batch codebooks *space"], ...]:
        """Data to codes: one level."""
        return (self.quantizer(self.latents(batch)).codes,)

    def decode(
        self,
        codes: tuple[Int[Tensor, "batch codebooks *space"], ...],
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Codes to data: the likelihood's mode at temperature 0, else a sample. ``size`` cuts off what was padded.

        An autoregressive decoder draws one value after the other, at temperature 0 the likeliest each time.
        """
        return decode_vectors(self.decoder, self.likelihood, self.quantizer.decode(codes[0]), condition, generator, temperature, size)

    def reconstruct(self, batch: Batch, codes: tuple[Int[Tensor, "batch codebooks *space"], ...]) -> Reconstruction:
        """Decode a batch's codes once, for the likelihood's mode and for log p(x|z)."""
        parameters = parameters_of(self.decoder, self.likelihood, self.quantizer.decode(codes[0]), batch)
        if isinstance(self.decoder, AutoregressiveDecoder):
            mode = self.decode(codes, batch.condition, size=tuple(batch.x.shape[2:]))
        else:
            mode = self.likelihood.mode(parameters)
        return Reconstruction(mode, self.likelihood.log_prob(parameters, batch.x))

    def latents(self, batch: Batch) -> Float[Tensor, "batch dim *space"]:
        """z_e(x), with what is padded at the end of each side.

        Raises:
            DataError: a batch with a mask, or of another number of axes.
        """
        if batch.mask is not None:
            raise DataError("This batch has a mask; VQVAE takes batches whose examples all have one size.")
        stride = self.encoder.stride
        if batch.x.ndim != 2 + len(stride):
            raise DataError(f"Data has the shape {tuple(batch.x.shape)}; expected (batch, channels) and {len(stride)} axes of space.")
        return self.encoder(_pad(batch.x, stride))

    @torch.no_grad()
    def start(self, batches: Iterable[Batch]) -> None:
        """Start the codebooks by k-means over the latents of these batches, unless they have started already."""
        if not self.quantizer.started:
            latents = [self.latents(batch) for batch in batches]
            rows = torch.cat([part.movedim(1, -1).reshape(-1, self.quantizer.dim) for part in latents])
            self.quantizer.start(rows.float())

    def _log_likelihood(self, vectors: Tensor, batch: Batch) -> Float[Tensor, " batch"]:
        return self.likelihood.log_prob(parameters_of(self.decoder, self.likelihood, vectors, batch), batch.x)

    @torch.no_grad()
    def _usage(self, codes: Tensor) -> dict[str, Tensor]:
        """Perplexity and share of codes used in this batch, over all ranks and averaged over codebooks."""
        size = self.quantizer.codebook_size
        if size == 0:
            return {}
        counts = torch.stack([torch.bincount(book.reshape(-1), minlength=size) for book in codes.unbind(1)])
        counts = distributed.sum_(counts)
        return {"perplexity": perplexity(counts).mean(), "codes_used": (counts > 0).float().mean()}


def _pad(x: Tensor, stride: tuple[int, ...]) -> Tensor:
    """Repeat the last entry of each axis of space up to a multiple of its stride."""
    for axis, step in enumerate(stride, start=2):
        missing = -x.shape[axis] % step
        if missing:
            x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1).repeat_interleave(missing, axis)], axis)
    return x
