"""From vectors to data and to what the likelihood makes of it: the way that all models with a decoder have in common."""

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from vqvae.data.base import Batch, Condition
from vqvae.errors import DataError
from vqvae.layers.autoregressive import sample
from vqvae.likelihoods.base import BinnedLikelihood, Likelihood
from vqvae.networks.base import AutoregressiveDecoder, Decoder, Given


def parameters_of(
    decoder: Decoder, likelihood: Likelihood, vectors: Float[Tensor, "batch dim *space"], batch: Batch
) -> Float[Tensor, "batch parameters *positions"]:
    """The likelihood's parameters at the size of the data. An autoregressive decoder is given the data, too."""
    past = likelihood.discretise(batch.x) if isinstance(decoder, AutoregressiveDecoder) else None
    return crop(decoder(vectors, batch.condition, past), _of_parameters(likelihood, batch.x.shape[2:]))


def decode_vectors(
    decoder: Decoder,
    likelihood: Likelihood,
    vectors: Float[Tensor, "batch dim *space"],
    condition: Condition,
    generator: torch.Generator | None,
    temperature: float,
    size: tuple[int, ...] | None,
) -> Tensor:
    """Vectors to raw data: the likelihood's mode at temperature 0, else a sample. See ``Tokenizer.decode``."""
    if isinstance(decoder, AutoregressiveDecoder):
        space = tuple(step * length for step, length in zip(decoder.stride, vectors.shape[2:], strict=True))
        steps = LogitsOf(decoder, likelihood) if isinstance(likelihood, BinnedLikelihood) else decoder
        given = Given(vectors, condition)
        bins = sample(steps, len(vectors), space, condition=given, generator=generator, temperature=temperature)
        return likelihood.restore(crop(bins, space if size is None else size))
    parameters = decoder(vectors, condition)
    parameters = crop(parameters, parameters.shape[2:] if size is None else _of_parameters(likelihood, size)).float()
    made = likelihood.mode(parameters) if temperature == 0 else likelihood.sample(parameters, generator, temperature)
    return made if size is None else crop(made, size)


def _of_parameters(likelihood: Likelihood, size: tuple[int, ...]) -> tuple[int, ...]:
    """How many parameters there are along each axis of data of a size."""
    return tuple(-(-length // likelihood.hop) for length in size)


class LogitsOf:
    """An autoregressive decoder as the sampling loop takes it, where its parameters are not logits yet."""

    def __init__(self, decoder: AutoregressiveDecoder, likelihood: BinnedLikelihood) -> None:
        self.decoder, self.likelihood = decoder, likelihood
        self.num_codebooks, self.codebook_size = decoder.num_codebooks, decoder.codebook_size

    def start(self, batch_size: int, space: tuple[int, ...], condition: Given, prefix: Tensor | None = None) -> Any:
        """The decoder's own."""
        return self.decoder.start(batch_size, space, condition, prefix)

    def step(self, code: Int[Tensor, " batch"] | None, state: Any) -> tuple[Float[Tensor, "batch codebook_size"], Any]:
        """The decoder's step, and what the likelihood makes of its parameters."""
        parameters, state = self.decoder.step(code, state)
        return self.likelihood.logits(parameters), state


def latent_mask(mask: Bool[Tensor, "batch *positions"], stride: tuple[int, ...]) -> Bool[Tensor, "batch *space"]:
    """The mask of latents: one counts where any position of its block does."""
    for axis, step in enumerate(stride, start=1):
        missing = -mask.shape[axis] % step
        whole = torch.cat([mask, mask.new_zeros(*mask.shape[:axis], missing, *mask.shape[axis + 1 :])], axis)
        mask = whole.unflatten(axis, (-1, step)).any(axis + 1)
    return mask


def crop(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """The first entries of each axis of space.

    Raises:
        DataError: there are not as many.
    """
    for axis, length in enumerate(size, start=2):
        if length > x.shape[axis]:
            raise DataError(f"The codes decode to the size {tuple(x.shape[2:])}; {tuple(size)} was asked for.")
        x = x.narrow(axis, 0, length)
    return x
