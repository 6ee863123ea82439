"""Shared by models with an encoder, a decoder and criteria: data of any size, codes to data, and common metrics."""

import dataclasses
import itertools
from abc import abstractmethod
from collections.abc import Container, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from vqvae import distributed
from vqvae.codes import Codes, LogPrior, codes_that_count, latent_mask, only_level, perplexity, uniform_log_prob
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.exact import is_traced
from vqvae.likelihoods import BinnedLikelihood, Criterion, Likelihood
from vqvae.likelihoods.adversary import Adversary, deceived
from vqvae.likelihoods.base import Expecting
from vqvae.likelihoods.levels import check_mask
from vqvae.models.base import Bound, LatentModel, Reconstruction, Tokenizer
from vqvae.models.decoding import check_positions, crop, decode_vectors, parameters_of
from vqvae.models.padding import by_frames, pad, silence
from vqvae.networks import AutoregressiveDecoder
from vqvae.networks.base import trait
from vqvae.signals import AXES, Signal


class Network(NamedTuple):
    """The parts of an autoencoder outside its bottleneck: any modules with the interface of ``networks/base.py``."""

    encoder: nn.Module
    """Raw data (batch, channels, *axes) to latents (batch, dim, *space); it has a ``stride``."""
    decoder: nn.Module
    """Vectors (batch, dim, *space) and a ``Condition`` to the parameters of the criterion; it has the same ``stride``."""
    criterion: Criterion
    """The meaning of the decoder's output: a likelihood or a distance."""
    further: tuple[tuple[float, Criterion], ...] = ()
    """Distances added to the criterion, each with a weight."""
    signal: Signal | None = None
    """The signal of the data. Default: derived from the criterion and the encoder's stride."""


def build_network(config: Any, *, latent_dim: int, dim: int) -> Network:
    """Build the network of a configuration with ``encoder``, ``decoder`` and ``likelihood`` around a bottleneck with ``latent_dim``
    input and ``dim`` output channels."""
    criterion = config.likelihood.build()
    signal = criterion.signal(getattr(config.encoder, "axes", ()))
    encoder = config.encoder.build(signal, latent_dim)
    decoder = config.decoder.build(dim, criterion.num_parameters)
    further = tuple((one.weight, one.criterion.build()) for one in getattr(config, "criteria", ()))
    return Network(encoder, decoder, criterion, further, signal if len(signal.axes) == len(encoder.stride) else None)


class Autoencoder(LatentModel):
    """A latent model with an encoder, a decoder and criteria. A subclass defines the bottleneck.

    Data of any size is padded at its end to a multiple of the stride, by repeating its edge, and in front by the network's ``lead``. The
    criterion does not see the padding.
    """

    has_likelihood: bool
    takes_masks: bool
    streams: bool
    shows_error: bool = False
    """Whether training steps measure the reconstruction error even if it takes extra time. Evaluation always does."""

    def _connect(self, network: Network) -> None:
        """Take the parts around the bottleneck.

        Raises:
            ConfigError: if they do not fit together.
        """
        criterion, encoder, decoder = network.criterion, network.encoder, network.decoder
        stride = _stride(encoder, "encoder")
        if stride != _stride(decoder, "decoder"):
            raise ConfigError(f"The encoder's stride is {stride} and the decoder's {decoder.stride}; give both the same.")
        lead = _lead(network, stride)
        _check_criteria(network)
        expected = criterion.signal(AXES.get(len(stride), tuple(f"axis {i}" for i in range(len(stride)))))
        self.signal = network.signal or expected
        if not expected.fits(self.signal):
            raise ConfigError(
                f"The signal is {self.signal.values()}, {self.signal.shape()}; {type(criterion).__name__} takes {expected.values()}, "
                f"{expected.shape()} at the stride {stride}. Give a signal and parts that fit together, or omit the signal."
            )
        self.criterion = criterion
        self.encoder, self.decoder = encoder, decoder
        self.further = nn.ModuleList(part for _, part in network.further)
        self.weights = tuple(weight for weight, _ in network.further)
        self.stride, self.lead = stride, lead
        self.has_likelihood = isinstance(criterion, Likelihood)
        # Beyond the end of an example there is silence: only one-dimensional floats can represent it.
        is_sequence = len(stride) == 1 and self.signal.levels is None
        takes_masks = is_sequence and all(part.takes_masks for part in (criterion, *self.further))
        # What is causal does not see what comes after an example's end; criteria without masks get single frames.
        self.masks_frames: bool = len(stride) > 1 and all(trait(part, "causal") for part in (encoder, decoder))
        self.takes_masks = takes_masks or self.masks_frames
        self.speakers: int = trait(decoder, "speakers")
        self.draws = isinstance(decoder, AutoregressiveDecoder)
        self.streams = len(stride) == 1 and None not in (trait(encoder, "context"), trait(decoder, "context"))

    @property
    def likelihood(self) -> Likelihood:
        """The criterion, if it is a likelihood.

        Raises:
            ConfigError: if it is a distance.
        """
        if isinstance(self.criterion, Likelihood):
            return self.criterion
        raise ConfigError(
            f"{type(self.criterion).__name__} is a distance, not a density: there are no nats, bits or bounds on log p(x), and "
            "only VQVAE can train with it. Use a likelihood such as MuLawConfig."
        )

    def latents(self, batch: Batch) -> Float[Tensor, "batch dim *space"]:
        """The encoder's output, including padding at the end of each axis.

        Raises:
            DataError: if data does not match the signal, a mask is not supported, or an example has no data.
        """
        if batch.mask is not None and not self.takes_masks:
            raise DataError(f"This batch has a mask; {type(self).__name__} only takes batches with examples of one size.")
        if 0 in self.signal.check(batch.x).shape[1:]:
            raise DataError(f"Data has the shape {tuple(batch.x.shape)}; each axis must have at least one position.")
        check_mask(batch.mask, batch.x)
        if batch.mask is None:
            return self.encoder(pad(batch.x, self.stride, self.lead))
        return self.encoder(silence(batch.x, batch.mask, self.stride, self.lead))

    def check_likelihood(self) -> None:
        """Raise ConfigError if the criterion is not a likelihood."""
        _ = self.likelihood

    def _mask(self, batch: Batch) -> Bool[Tensor, "batch *space"] | None:
        """True for latents that stand for data; None if all do."""
        return None if batch.mask is None else latent_mask(batch.mask, self.stride, self.lead)

    def _cost(self, parameters: Float[Tensor, "batch parameters *positions"], batch: Batch) -> Float[Tensor, " batch"]:
        """The criterion's loss of each example: −log p(x|z) in nats, or a distance times the number of values."""
        if batch.mask is None or not self.masks_frames:
            return self.criterion.loss(parameters, batch.x, batch.mask)
        return by_frames(self.criterion.loss, parameters, batch.x, batch.mask)

    def _log_likelihood(self, vectors: Float[Tensor, "batch dim *space"], batch: Batch) -> Float[Tensor, " batch"]:
        """log p(x|z) given the vectors of z, in nats per example."""
        self.check_likelihood()
        return -self._cost(self._parameters_of(vectors, batch), batch)

    def _parameters_of(self, vectors: Float[Tensor, "batch dim *space"], batch: Batch) -> Float[Tensor, "batch parameters *positions"]:
        """The criterion's parameters. A latent without data is a zero vector, like the positions beyond the end of a wave."""
        if batch.mask is not None:
            vectors = vectors * latent_mask(batch.mask, self.stride, self.lead).unsqueeze(1)
        return parameters_of(self.decoder, self.criterion, vectors, batch)

    def _further(self, parameters: Tensor, batch: Batch) -> "Further":
        """The loss of the further criteria per dimension, and the loss of adversaries among them."""
        loss, own, metrics = torch.zeros((), dtype=torch.float32, device=parameters.device), None, {}
        if not self.further:
            return Further(loss, None, metrics)
        assert isinstance(self.criterion, Expecting), "checked when the model was built"
        made = self.criterion.mean(parameters)
        for weight, part in zip(self.weights, self.further, strict=True):
            is_adversary = isinstance(part, Adversary)
            term = per_dim(deceived(part, made, batch.x, batch.mask) if is_adversary else part(made, batch.x, batch.mask), batch)
            loss = loss + weight * term
            metrics[_name(part, metrics)] = term.detach()
            if is_adversary:
                told = part.own_loss(made.detach(), batch.x, batch.mask)
                own = told if own is None else own + told
        return Further(loss, own, metrics)

    def _decode(
        self,
        vectors: Float[Tensor, "batch dim *space"],
        condition: Condition,
        generator: torch.Generator | None,
        temperature: float,
        size: tuple[int, ...] | None,
    ) -> Tensor:
        """Vectors to data: the criterion's mode at temperature 0, else a sample. ``size`` removes padding."""
        return decode_vectors(self.decoder, self.criterion, vectors, condition, generator, temperature, size)

    @torch.no_grad()
    def _metrics(self, bound: Bound, batch: Batch) -> dict[str, Tensor]:
        """The metrics of every model, under the same names. Without a likelihood, the distance replaces them."""
        if not self.has_likelihood:
            return {"distance_per_dim": per_dim(-bound.log_likelihood, batch)}
        cost = bound.log_likelihood - bound.nats
        return {"nats_per_dim": per_dim(-bound.nats, batch), "kl_nats_per_dim": per_dim(cost, batch)}

    def _error(self, parameters: Float[Tensor, "batch parameters *positions"], batch: Batch) -> dict[str, Tensor]:
        """The mean reconstruction error over examples: ``psnr`` in dB for data with bounds, else ``rmse`` in the data's unit.

        Empty unless ``_has_error``.
        """
        if not self._has_error(batch):
            return {}
        assert isinstance(self.criterion, Expecting), "checked by _has_error"
        with torch.no_grad():
            return reconstruction_error(self.criterion.mean(parameters), batch.x, self.signal)

    def _has_error(self, batch: Batch) -> bool:
        """Whether the metrics of this batch contain the reconstruction error.

        They do not for sound, whose waves may differ and sound alike; for decoders that see the data; if the criterion has no mean; and,
        in training, if the mean is slow to compute and nobody looks (``shows_error``).
        """
        criterion, signal = self.criterion, self.signal
        is_sound = signal.axes == AXES[1] and signal.levels is None and (signal.low, signal.high) == (-1, 1)
        if not isinstance(criterion, Expecting) or is_sound or self.draws or criterion.hop != 1 or batch.mask is not None:
            return False
        return not torch.is_grad_enabled() or criterion.is_plain or self.shows_error


class Further(NamedTuple):
    """The losses of a batch under the further criteria."""

    loss: Float[Tensor, ""]
    adversary: Float[Tensor, ""] | None
    metrics: dict[str, Tensor]


class CodeAutoencoder(Autoencoder, Tokenizer):
    """An autoencoder through one level of codes. A subclass defines the codes' vectors (``vectors``)."""

    def log_likelihood(
        self, batch: Batch, codes: Tensor | tuple[Integer[Tensor, "batch codebooks *space"], ...]
    ) -> Float[Tensor, " batch"]:
        """log p(x|z) of given codes, in nats per example.

        Raises:
            ConfigError: if the criterion is not a likelihood.
            DataError: if codes or data do not fit the model, or each other.
        """
        return self._log_likelihood(self._vectors_of(codes, batch), batch)

    def decode(
        self,
        codes: Tensor | tuple[Integer[Tensor, "batch codebooks *space"], ...],
        condition: Condition = Condition(),
        generator: torch.Generator | None = None,
        temperature: float = 0.0,
        size: tuple[int, ...] | None = None,
    ) -> Tensor:
        """Codes to data; see ``Tokenizer.decode``."""
        return self._decode(self._vectors_of(codes), condition, generator, temperature, size)

    def reconstruct(self, batch: Batch, codes: Tensor | tuple[Integer[Tensor, "batch codebooks *space"], ...]) -> Reconstruction:
        """Decode a batch's codes once, for the criterion's mode and for log p(x|z).

        Raises:
            DataError: if codes or data do not fit the model, or each other.
        """
        parameters = self._parameters_of(self._vectors_of(codes, batch), batch)
        # An autoregressive decoder's parameters depend on the data, so the reconstruction is drawn from the codes alone.
        size = tuple(batch.x.shape[2:])
        # The last parameters may extend beyond the data.
        made = self.decode(codes, batch.condition, size=size) if self.draws else crop(self.criterion.mode(parameters), size)
        nats = -self._cost(parameters, batch) if self.has_likelihood else None
        return Reconstruction(made, nats)

    @abstractmethod
    def vectors(self, codes: Integer[Tensor, "batch codebooks *space"]) -> Float[Tensor, "batch dim *space"]:
        """The decoder's input for these codes.

        Raises:
            DataError: if the number of codebooks is wrong, or a code is out of range.
        """

    def _vectors_of(self, codes: Tensor | tuple[Tensor, ...], batch: Batch | None = None) -> Float[Tensor, "batch dim *space"]:
        """``vectors`` of codes. Their space must fit the decoder and the data of ``batch``."""
        if batch is not None:
            self.signal.check(batch.x)
        vectors = self.vectors(Codes.of(codes).tensor)
        if not is_traced():
            check_positions("Codes", (len(vectors), *vectors.shape[2:]), self.stride, batch, self.lead)
        return vectors

    def _likeliest(self, log_probs: Float[Tensor, "batch codebooks codebook_size *space"], batch: Batch) -> Codes:
        """The most likely code at each position; 0 where there is no data."""
        codes, mask = log_probs.argmax(2), self._mask(batch)
        return Codes([codes if mask is None else codes * mask.unsqueeze(1)], [mask])

    def _log_prior(
        self, codes: Integer[Tensor, "batch codebooks *space"], batch: Batch, log_prior: LogPrior | None = None
    ) -> Float[Tensor, " batch"]:
        """log p(z) of the codes that stand for data, under ``log_prior`` or the uniform prior."""
        mask = self._mask(batch)
        if log_prior is not None:
            return log_prior(codes, batch.condition, mask)
        return uniform_log_prob(codes, only_level(self.layout).codebook_size, mask)

    @torch.no_grad()
    def _usage(
        self, codes: Integer[Tensor, "batch codebooks *space"], mask: Bool[Tensor, "batch *space"] | None = None
    ) -> dict[str, Tensor]:
        """Perplexity and share of codes used in this batch, over all ranks and averaged over codebooks."""
        size = only_level(self.layout).codebook_size
        if size == 0:
            return {}
        counts = torch.stack([torch.bincount(book, minlength=size) for book in codes_that_count(codes, mask)])
        counts = distributed.sum_(counts)
        return {"perplexity": perplexity(counts).mean(), "codes_used": (counts > 0).float().mean()}


def config_of(kind: type, parts: Mapping[str, nn.Module], **settings: Any) -> Any:
    """The configuration of a model made of modules; None if any of them has none."""
    configs = {name: getattr(part, "config", None) for name, part in parts.items()}
    return kind(**configs, **settings) if all(map(dataclasses.is_dataclass, configs.values())) else None


def per_dim(nats: Float[Tensor, " batch"], batch: Batch) -> Float[Tensor, ""]:
    """Nats of a batch per dimension: the mean over examples, channels and unmasked positions; 0 for an empty batch."""
    if batch.mask is None:
        return nats.sum() / max(batch.x.numel(), 1)
    return nats.sum() / (batch.mask.sum() * batch.x.shape[1]).clamp(min=1)


def reconstruction_error(made: Float[Tensor, "batch channels *space"], x: Tensor, signal: Signal) -> dict[str, Tensor]:
    """``psnr`` of data with bounds, in dB, or ``rmse`` of data without; means over the examples. Empty for an empty batch.

    Args:
        made: the expected data, on the scale of ``Signal.to_unit``.
        x: raw data (batch, channels, *space).
        signal: what the data is.
    """
    if not x.numel():
        return {}
    if signal.levels is None and signal.low is None:
        return {"rmse": (made - signal.to_unit(x)).square().mean().sqrt()}
    error = (made.clamp(-1, 1) - signal.to_unit(x)).square().flatten(1).mean(1)
    # A perfect example counts as if one value were off by one level, as in the scores.
    least = (2 / ((signal.levels or 2**16) - 1)) ** 2 / x[0].numel()
    return {"psnr": (10 * (4 / error.clamp(min=least)).log10()).mean()}


def _name(part: nn.Module, taken: Container[str]) -> str:
    """The name of a criterion's loss among the metrics; the second of a kind is ``..._2``."""
    name = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in type(part).__name__).strip("_")
    names = itertools.chain([name], (f"{name}_{number}" for number in itertools.count(2)))
    return next(one for one in names if one not in taken)


def _check_criteria(network: Network) -> None:
    """Raise ConfigError unless the decoder and the criteria fit together."""
    criterion, decoder = network.criterion, network.decoder
    name = type(criterion).__name__
    if trait(decoder, "hop") != criterion.hop:
        raise ConfigError(
            f"{type(decoder).__name__} gives parameters for every {trait(decoder, 'hop')} positions of the data, but "
            f"{name} takes them for every {criterion.hop}. Give two that fit together."
        )
    if isinstance(decoder, AutoregressiveDecoder) and not isinstance(criterion, BinnedLikelihood):
        raise ConfigError(
            f"{type(decoder).__name__} draws bins one by one, but {name} has none. Give a likelihood with bins, such as MuLawConfig."
        )
    if network.further and not isinstance(criterion, Expecting):
        raise ConfigError(f"{name} has no mean for further criteria to compare; omit them.")
    for _, part in network.further:
        if (part.num_parameters, part.hop) != (criterion.channels, 1):
            raise ConfigError(
                f"{type(part).__name__} takes {part.num_parameters} parameters for every {part.hop} positions; a further criterion gets "
                f"the mean of {name}, with {criterion.channels} channels at every position. Use one that compares data with data."
            )


def _stride(part: nn.Module, role: str) -> tuple[int, ...]:
    stride = getattr(part, "stride", None)
    if isinstance(stride, tuple) and stride and all(isinstance(step, int) and step > 0 for step in stride):
        return stride
    raise ConfigError(
        f"The {role} ({type(part).__name__}) has the stride {stride!r}; expected a tuple of positive numbers, the data "
        f"positions per latent along each axis. Set it in its __init__, for example: self.stride = (4,)"
    )


def _lead(network: Network, stride: tuple[int, ...]) -> tuple[int, ...]:
    """The lead of the encoder and of the decoder, each below its stride.

    Raises:
        ConfigError: if they differ, or the decoder cannot have one.
    """
    lead, other = (tuple(trait(part, "lead")) for part in (network.encoder, network.decoder))
    if lead != other or (lead and (len(lead) != len(stride) or not all(0 <= a < b for a, b in zip(lead, stride, strict=True)))):
        raise ConfigError(
            f"The encoder's lead is {lead} and the decoder's {other} at the stride {stride}; give both the same, one number per axis, each "
            "below the stride. For example, a VideoEncoder goes with a VideoDecoder."
        )
    if lead and (isinstance(network.decoder, AutoregressiveDecoder) or network.criterion.hop != 1):
        raise ConfigError(f"{type(network.decoder).__name__} cannot have a lead: only a decoder that makes all of the data at once can.")
    return lead
