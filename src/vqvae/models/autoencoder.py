"""What models with an encoder, a decoder and a likelihood share: data of any size, codes to data, and the metrics of one table."""

import math
from abc import abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from vqvae import distributed
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.likelihoods import Likelihood, LikelihoodConfig
from vqvae.models.base import Bound, LatentModel, LogPrior, Reconstruction, Tokenizer
from vqvae.models.decoding import decode_vectors, latent_mask, parameters_of
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
    takes_masks: bool = False
    """Whether batches may have a mask, for examples of several lengths over time."""

    def latents(self, batch: Batch) -> Float[Tensor, "batch dim *space"]:
        """What the encoder puts out, with what is padded at the end of each side.

        Raises:
            DataError: a batch with a mask that is not taken, of another number of axes, or without any data in an example.
        """
        if batch.mask is not None and not self.takes_masks:
            raise DataError(f"This batch has a mask; {type(self).__name__} takes batches whose examples all have one size.")
        stride, shape = self.encoder.stride, tuple(batch.x.shape)
        if len(shape) != 2 + len(stride) or 0 in shape[1:]:
            raise DataError(
                f"Data has the shape {shape}; expected (batch, channels) and {len(stride)} axes of space, each of at least one position."
            )
        padded = _pad(batch.x, stride)
        return self.encoder(padded if batch.mask is None else _silence(padded, batch.mask, stride[0]))

    def _connect(
        self,
        likelihood: LikelihoodConfig | None,
        encoder: EncoderConfig,
        decoder: DecoderConfig,
        latent_dim: int,
        dim: int,
        *,
        needs_density: bool = True,
    ) -> None:
        """Build the three around what stands between them, which takes ``latent_dim`` channels and gives ``dim``.

        Raises:
            ConfigError: encoder and decoder do not fit each other, there is no likelihood, or a model that trains on a bound on
                log p(x) is given one that is no density.
        """
        if likelihood is None:
            raise ConfigError(
                f"{type(self).__name__} has no likelihood, so there is no p(x|z) to train or to measure. Give one, such as GaussianConfig."
            )
        self.likelihood = likelihood.build()
        if needs_density:
            self._check_density()
        self.encoder = encoder.build(self.likelihood.channels, latent_dim)
        self.decoder = decoder.build(dim, self.likelihood.num_parameters)
        if self.encoder.stride != self.decoder.stride:
            raise ConfigError(f"The encoder's stride is {self.encoder.stride} and the decoder's {self.decoder.stride}; give both the same.")
        if self.decoder.hop != self.likelihood.hop:
            raise ConfigError(
                f"{type(self.decoder).__name__} gives parameters for every {self.decoder.hop} positions of the data and "
                f"{type(self.likelihood).__name__} takes them for every {self.likelihood.hop}. Give two that belong together."
            )
        self.channels = self.likelihood.channels

    def _log_likelihood(self, vectors: Float[Tensor, "batch dim *space"], batch: Batch) -> Float[Tensor, " batch"]:
        """log p(x|z) of the vectors that stand for z, in nats an example."""
        return self.likelihood.log_prob(self._parameters_of(vectors, batch), batch.x, batch.mask)

    def _parameters_of(self, vectors: Float[Tensor, "batch dim *space"], batch: Batch) -> Float[Tensor, "batch parameters *positions"]:
        """The likelihood's parameters; a latent without data is a zero vector, as there is beyond the end of a wave."""
        if batch.mask is not None:
            vectors = vectors * latent_mask(batch.mask, self.encoder.stride).unsqueeze(1)
        return parameters_of(self.decoder, self.likelihood, vectors, batch)

    def _check_density(self) -> None:
        """Raise ConfigError where the likelihood is no density."""
        if not self.likelihood.is_density:
            raise ConfigError(
                f"{type(self.likelihood).__name__} is a distance and no density, so there are no nats, bits or bounds on log p(x), and "
                "only VQVAE trains with it. Take a likelihood such as MuLawConfig for those."
            )

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
        """What every model shows, under the same names; without a density its distance in their place."""
        if not self.likelihood.is_density:
            return {"distance_per_dim": per_dim(-bound.log_likelihood, batch)}
        cost = bound.log_likelihood - bound.nats
        return {"nats_per_dim": per_dim(-bound.nats, batch), "kl_nats_per_dim": per_dim(cost, batch)}


class CodeAutoencoder(Autoencoder, Tokenizer):
    """An autoencoder through one level of codes. A subclass says what vectors they stand for (``vectors``)."""

    def log_likelihood(self, batch: Batch, codes: tuple[Int[Tensor, "batch codebooks *space"], ...]) -> Float[Tensor, " batch"]:
        """log p(x|z) of given codes, in nats an example.

        Raises:
            ConfigError: the likelihood is no density.
        """
        self._check_density()
        return self._log_likelihood(self.vectors(codes[0]), batch)

    def decode(
        self,
        codes: tuple[Int[Tensor, "batch codebooks *space"], ...],
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Codes to data: the likelihood's mode at temperature 0, else a sample. ``size`` cuts off what was padded."""
        return self._decode(self.vectors(codes[0]), condition, generator, temperature, size)

    def reconstruct(self, batch: Batch, codes: tuple[Int[Tensor, "batch codebooks *space"], ...]) -> Reconstruction:
        """Decode a batch's codes once, for the likelihood's mode and for log p(x|z).

        Raises:
            ConfigError: the likelihood is no density.
        """
        self._check_density()
        parameters = self._parameters_of(self.vectors(codes[0]), batch)
        # An autoregressive decoder's parameters know the data; what its codes alone give is drawn.
        if isinstance(self.decoder, AutoregressiveDecoder):
            made = self.decode(codes, batch.condition, size=tuple(batch.x.shape[2:]))
        else:
            made = self.likelihood.mode(parameters)
        return Reconstruction(made, self.likelihood.log_prob(parameters, batch.x, batch.mask))

    @abstractmethod
    def vectors(self, codes: Int[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """What the decoder gets for these codes.

        Raises:
            DataError: a wrong number of codebooks, or a code that there is not.
        """

    def _log_prior(
        self,
        codes: Int[Tensor, "batch codebooks *space"],
        log_prior: LogPrior | None = None,
        mask: Bool[Tensor, "batch *space"] | None = None,
    ) -> Float[Tensor, " batch"]:
        """log p(z): of ``log_prior``, or of the uniform prior, N·log K nats for N codes [VQVAE §3.1] that the mask leaves.

        A given prior has the codes alone, and so has to know itself where they end.
        """
        if log_prior is not None:
            return log_prior(codes)
        nats_of_code = math.log(max(self.layout[0].codebook_size, 1))
        if mask is not None:
            return mask.flatten(1).sum(1) * -(codes.shape[1] * nats_of_code)
        return torch.full((len(codes),), -math.prod(codes.shape[1:]) * nats_of_code, device=codes.device)

    @torch.no_grad()
    def _usage(self, codes: Int[Tensor, "batch codebooks *space"], mask: Bool[Tensor, "batch *space"] | None = None) -> dict[str, Tensor]:
        """Perplexity and share of codes used in this batch, over all ranks and averaged over codebooks."""
        size = self.layout[0].codebook_size
        if size == 0:
            return {}
        books = [book.reshape(-1) if mask is None else book[mask] for book in codes.unbind(1)]
        counts = torch.stack([torch.bincount(book, minlength=size) for book in books])
        counts = distributed.sum_(counts)
        return {"perplexity": perplexity(counts).mean(), "codes_used": (counts > 0).float().mean()}


def per_dim(nats: Float[Tensor, " batch"], batch: Batch) -> Float[Tensor, ""]:
    """Nats of a batch, a dimension: the mean over examples, channels and positions that the mask leaves; 0 of an empty batch."""
    if batch.mask is None:
        return nats.sum() / max(batch.x.numel(), 1)
    return nats.sum() / (batch.mask.sum() * batch.x.shape[1]).clamp(min=1)


def _silence(x: Float[Tensor, "batch channels padded"], mask: Bool[Tensor, "batch time"], stride: int) -> Tensor:
    """Make of each example what it would be alone: its last value up to a multiple of the stride, then zeros."""
    place = torch.arange(x.shape[2], device=x.device)
    mask = F.pad(mask, (0, x.shape[2] - mask.shape[1]))
    last = (mask * place).amax(1, keepdim=True)
    alone = (x * mask.unsqueeze(1)).gather(2, place.minimum(last).unsqueeze(1).expand_as(x))
    return alone * latent_mask(mask, (stride,)).repeat_interleave(stride, 1).unsqueeze(1)


def _pad(x: Tensor, stride: tuple[int, ...]) -> Tensor:
    """Repeat the last entry of each axis of space up to a multiple of its stride."""
    for axis, step in enumerate(stride, start=2):
        missing = -x.shape[axis] % step
        if missing:
            x = torch.cat([x, x.narrow(axis, x.shape[axis] - 1, 1).repeat_interleave(missing, axis)], axis)
    return x
