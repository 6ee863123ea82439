"""What models with an encoder, a decoder and a likelihood share: data of any size, codes to data, and the metrics of one table."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vqvae import distributed
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import Likelihood, LikelihoodConfig
from vqvae.models.base import Bound, LatentModel, LogPrior, Reconstruction, Tokenizer
from vqvae.models.decoding import decode_vectors, parameters_of
from vqvae.networks import AutoregressiveDecoder, Decoder, DecoderConfig, Encoder, EncoderConfig
from vqvae.quantizers.codebook import perplexity


class Autoencoder(LatentModel):
    """A latent model with an encoder, a decoder and a likelihood. A subclass says what stands between them.

    Data of any size is padded at its end to what the stride divides, by repeating its edge; the padding is cut off again before
    the likelihood sees it.
    """

    channels: int
    """Channels of the data."""
    likelihood: Likelihood
    encoder: Encoder
    decoder: Decoder

    def latents(self, batch: Batch) -> Float[Tensor, "batch dim *space"]:
        """What the encoder puts out, with what is padded at the end of each side.

        Raises:
            DataError: a batch with a mask, of another number of axes, or without any data in an example.
        """
        if batch.mask is not None:
            raise DataError(f"This batch has a mask; {type(self).__name__} takes batches whose examples all have one size.")
        stride, shape = self.encoder.stride, tuple(batch.x.shape)
        if len(shape) != 2 + len(stride) or 0 in shape[1:]:
            raise DataError(
                f"Data has the shape {shape}; expected (batch, channels) and {len(stride)} axes of space, each of at least one position."
            )
        return self.encoder(_pad(batch.x, stride))

    def _connect(
        self, likelihood: LikelihoodConfig | None, encoder: EncoderConfig, decoder: DecoderConfig, latent_dim: int, dim: int
    ) -> None:
        """Build the three around what stands between them, which takes ``latent_dim`` channels and gives ``dim``.

        Raises:
            ConfigError: encoder and decoder do not fit each other, or there is no likelihood.
        """
        if likelihood is None:
            raise ConfigError(
                f"{type(self).__name__} has no likelihood, so there is no p(x|z) to train or to measure. Give one, such as GaussianConfig."
            )
        self.likelihood = likelihood.build()
        self.encoder = encoder.build(self.likelihood.channels, latent_dim)
        self.decoder = decoder.build(dim, self.likelihood.num_parameters)
        if self.encoder.stride != self.decoder.stride:
            raise ConfigError(
                f"The encoder's stride is {self.encoder.stride} and the decoder's {self.decoder.stride}; give both as many widths."
            )
        self.channels = self.likelihood.channels

    def _log_likelihood(self, vectors: Float[Tensor, "batch dim *space"], batch: Batch) -> Float[Tensor, " batch"]:
        """log p(x|z) of the vectors that stand for z, in nats an example."""
        return self.likelihood.log_prob(parameters_of(self.decoder, self.likelihood, vectors, batch), batch.x)

    def _decode(
        self,
        vectors: Float[Tensor, "batch dim *space"],
        condition: Condition,
        generator: torch.Generator | None,
        temperature: float,
        size: tuple[int, ...] | None,
    ) -> Tensor:
        """Vectors to data: the likelihood's mode at temperature 0, else a sample. ``size`` cuts off what was padded."""
        return decode_vectors(self.decoder, self.likelihood, vectors, condition, generator, temperature, size)

    @torch.no_grad()
    def _metrics(self, bound: Bound, batch: Batch) -> dict[str, Tensor]:
        """What every model shows, under the same names."""
        cost = bound.log_likelihood - bound.nats
        return {"nats_per_dim": per_dim(-bound.nats, batch), "kl_nats_per_dim": per_dim(cost, batch)}


class CodeAutoencoder(Autoencoder, Tokenizer):
    """An autoencoder through one level of codes. A subclass says what vectors they stand for (``_vectors``)."""

    def log_likelihood(self, batch: Batch, codes: tuple[Int[Tensor, "batch codebooks *space"], ...]) -> Float[Tensor, " batch"]:
        """log p(x|z) of given codes, in nats an example."""
        return self._log_likelihood(self._vectors(codes[0]), batch)

    def decode(
        self,
        codes: tuple[Int[Tensor, "batch codebooks *space"], ...],
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Codes to data: the likelihood's mode at temperature 0, else a sample. ``size`` cuts off what was padded."""
        return self._decode(self._vectors(codes[0]), condition, generator, temperature, size)

    def reconstruct(self, batch: Batch, codes: tuple[Int[Tensor, "batch codebooks *space"], ...]) -> Reconstruction:
        """Decode a batch's codes once, for the likelihood's mode and for log p(x|z)."""
        parameters = parameters_of(self.decoder, self.likelihood, self._vectors(codes[0]), batch)
        # An autoregressive decoder's parameters know the data; what its codes alone give is drawn.
        if isinstance(self.decoder, AutoregressiveDecoder):
            made = self.decode(codes, batch.condition, size=tuple(batch.x.shape[2:]))
        else:
            made = self.likelihood.mode(parameters)
        return Reconstruction(made, self.likelihood.log_prob(parameters, batch.x))

    @abstractmethod
    def _vectors(self, codes: Int[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """What the decoder gets for these codes.

        Raises:
            DataError: a wrong number of codebooks, or a code that there is not.
        """

    def _log_prior(self, codes: Int[Tensor, "batch codebooks *space"], log_prior: LogPrior | None = None) -> Float[Tensor, " batch"]:
        """log p(z): of ``log_prior``, or of the uniform prior, N·log K nats for N codes [VQVAE §3.1]."""
        if log_prior is not None:
            return log_prior(codes)
        nats = math.prod(codes.shape[1:]) * math.log(max(self.layout[0].codebook_size, 1))
        return torch.full((len(codes),), -nats, device=codes.device)

    @torch.no_grad()
    def _usage(self, codes: Int[Tensor, "batch codebooks *space"]) -> dict[str, Tensor]:
        """Perplexity and share of codes used in this batch, over all ranks and averaged over codebooks."""
        size = self.layout[0].codebook_size
        if size == 0:
            return {}
        counts = torch.stack([torch.bincount(book.reshape(-1), minlength=size) for book in codes.unbind(1)])
        counts = distributed.sum_(counts)
        return {"perplexity": perplexity(counts).mean(), "codes_used": (counts > 0).float().mean()}


def per_dim(nats: Float[Tensor, " batch"], batch: Batch) -> Float[Tensor, ""]:
    """Nats of a batch, a dimension: the mean over examples, channels and positions; 0 of an empty batch."""
    return nats.sum() / max(batch.x.numel(), 1)


def _pad(x: Tensor, stride: tuple[int, ...]) -> Tensor:
    """Repeat the last entry of each axis of space up to a multiple of its stride."""
    for axis, step in enumerate(stride, start=2):
        missing = -x.shape[axis] % step
        if missing:
            x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1).repeat_interleave(missing, axis)], axis)
    return x
