"""From vectors to data and to what the likelihood makes of it: the way that all models with a decoder have in common."""

import torch
from jaxtyping import Float
from torch import Tensor

from vqvae.data.base import Batch, Condition
from vqvae.errors import DataError
from vqvae.layers.autoregressive import sample
from vqvae.likelihoods.base import Likelihood
from vqvae.networks.base import AutoregressiveDecoder, Decoder


def parameters_of(
    decoder: Decoder, likelihood: Likelihood, vectors: Float[Tensor, "batch dim *space"], batch: Batch
) -> Float[Tensor, "batch parameters *positions"]:
    """The likelihood's parameters at the size of the data. An autoregressive decoder is given the data, too."""
    past = likelihood.discretise(batch.x) if isinstance(decoder, AutoregressiveDecoder) else None
    return crop(decoder(vectors, batch.condition, past), batch.x.shape[2:])


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
        drawn = sample(decoder, len(vectors), space, condition=vectors, generator=generator, temperature=temperature)
        return crop(drawn, space if size is None else size)
    parameters = decoder(vectors, condition)
    parameters = crop(parameters, parameters.shape[2:] if size is None else size).float()
    return likelihood.mode(parameters) if temperature == 0 else likelihood.sample(parameters, generator, temperature)


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
