"""From vectors to data and to the criterion's parameters, for all models with a decoder."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqvae.codes import space_of
from vqvae.data.base import Batch, Condition
from vqvae.errors import DataError
from vqvae.layers.autoregressive import sample
from vqvae.likelihoods.base import BinnedLikelihood, Criterion, Likelihood, ParametricLikelihood
from vqvae.likelihoods.levels import check_temperature
from vqvae.networks.base import AutoregressiveDecoder, Given, trait


def parameters_of(
    decoder: nn.Module, criterion: Criterion, vectors: Float[Tensor, "batch dim *space"], batch: Batch
) -> Float[Tensor, "batch parameters *positions"]:
    """The criterion's parameters at the size of the data. An autoregressive decoder also gets the data."""
    size = _of_parameters(criterion, tuple(batch.x.shape[2:]))
    if isinstance(decoder, AutoregressiveDecoder):
        assert isinstance(criterion, BinnedLikelihood), "checked when the model was built"
        return crop(decoder(vectors, batch.condition, criterion.discretise(batch.x)), size)
    return crop(_led(decoder, decoder(vectors, batch.condition)), size)


def check_positions(
    what: str, positions: tuple[int, ...], stride: tuple[int, ...], batch: Batch | None = None, lead: tuple[int, ...] = ()
) -> None:
    """Check that a decoder can decode latents or codes of this shape.

    Args:
        what: names them in the error.
        positions: their shape without channels, (batch, *space).
        stride: the model's stride.
        batch: the data that they stand for. Default: any data.
        lead: the model's lead; see ``Level``.

    Raises:
        DataError: the number of axes is wrong, an axis is empty, or the shape does not fit the data.
    """
    if len(positions) != 1 + len(stride) or 0 in positions[1:]:
        raise DataError(f"{what} have the space {positions[1:]}; this model takes {len(stride)} axes of at least one position.")
    if batch is None:
        return
    expected = (len(batch.x), *space_of(tuple(batch.x.shape[2:]), stride, lead))
    if positions != expected:
        raise DataError(f"{what} have the shape (batch, *space) = {positions}; data of the shape {tuple(batch.x.shape)} has {expected}.")


def decode_vectors(
    decoder: nn.Module,
    criterion: Criterion,
    vectors: Float[Tensor, "batch dim *space"],
    condition: Condition,
    generator: torch.Generator | None,
    temperature: float,
    size: tuple[int, ...] | None,
) -> Tensor:
    """Vectors to raw data: the criterion's mode at temperature 0, else a sample of the likelihood. See ``Tokenizer.decode``."""
    if isinstance(decoder, AutoregressiveDecoder):
        assert isinstance(criterion, BinnedLikelihood), "checked when the model was built"
        space = tuple(step * length for step, length in zip(decoder.stride, vectors.shape[2:], strict=True))
        steps = logits_of(decoder, criterion)
        bins = sample(steps, len(vectors), space, condition=Given(vectors, condition), generator=generator, temperature=temperature)
        return criterion.restore(crop(bins, space if size is None else size))
    parameters = _led(decoder, decoder(vectors, condition))
    # Float32 even under autocast.
    parameters = (parameters if size is None else crop(parameters, _of_parameters(criterion, size))).float()
    check_temperature(temperature)
    if temperature == 0 or not isinstance(criterion, Likelihood):
        made = criterion.mode(parameters)
    else:
        made = criterion.sample(parameters, generator, temperature)
    return made if size is None else crop(made, size)


def _led(decoder: nn.Module, parameters: Tensor) -> Tensor:
    """The output of a decoder without its lead."""
    for axis, before in enumerate(trait(decoder, "lead"), start=2):
        parameters = parameters.narrow(axis, before, parameters.shape[axis] - before)
    return parameters


def _of_parameters(criterion: Criterion, size: tuple[int, ...]) -> tuple[int, ...]:
    """The number of parameters along each axis for data of a size."""
    return tuple(-(-length // criterion.hop) for length in size)


def logits_of(decoder: AutoregressiveDecoder, likelihood: BinnedLikelihood) -> "AutoregressiveDecoder | LogitsOf":
    """The model for the sampling loop. It is the decoder itself if its parameters are logits, so that a compiled kernel can draw."""
    return LogitsOf(decoder, likelihood) if isinstance(likelihood, ParametricLikelihood) else decoder


class LogitsOf:
    """An autoregressive decoder for the sampling loop, if its parameters are not logits."""

    def __init__(self, decoder: AutoregressiveDecoder, likelihood: ParametricLikelihood) -> None:
        self.decoder, self.likelihood = decoder, likelihood
        self.num_codebooks, self.codebook_size = decoder.num_codebooks, decoder.codebook_size

    def start(self, batch_size: int, space: tuple[int, ...], condition: Given, prefix: Tensor | None = None) -> Any:
        """The decoder's own."""
        return self.decoder.start(batch_size, space, condition, prefix)

    def step(self, code: Int[Tensor, " batch"] | None, state: Any) -> tuple[Float[Tensor, "batch codebook_size"], Any]:
        """The decoder's step, with its parameters turned into logits by the likelihood."""
        parameters, state = self.decoder.step(code, state)
        return self.likelihood.logits(parameters), state


def crop(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """The first entries of each axis of space.

    Raises:
        DataError: if an axis is shorter.
    """
    for axis, length in enumerate(size, start=2):
        if length > x.shape[axis]:
            raise DataError(f"The codes decode to the size {tuple(x.shape[2:])}; expected {tuple(size)}.")
        x = x.narrow(axis, 0, length)
    return x
