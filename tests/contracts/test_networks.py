"""What every encoder and every decoder of the Unions must do."""

import json
import math
import typing

import pytest
import torch
from torch import Tensor

from vqvae import config as configuration
from vqvae.errors import DataError
from vqvae.layers.cepstra import CepstraConfig
from vqvae.networks import (
    ArrayDecoderConfig,
    ArrayEncoderConfig,
    AudioEncoderConfig,
    AutoregressiveDecoder,
    CepstralDecoderConfig,
    CepstralEncoderConfig,
    CodesDecoderConfig,
    CodesEncoderConfig,
    DecoderConfig,
    EncoderConfig,
    ImageDecoderConfig,
    ImageEncoderConfig,
    LogMelEncoderConfig,
    SpectralDecoderConfig,
    VideoDecoderConfig,
    VideoEncoderConfig,
    WaveNetDecoderConfig,
)
from vqvae.signals import AXES, Signal, pictures, sound

DIM, K = 3, 5
MEL = {"rate": 2000, "window": 64, "hop": 16, "mels": 6}
ENCODERS = {
    ImageEncoderConfig: ({"widths": (4, 4), "residual_blocks": 1, "residual_hidden": 4}, pictures()),
    CodesEncoderConfig: ({"codebook_size": K, "space": (4, 6), "hidden": 4, "widths": (4,), "residual_hidden": 4}, pictures(2, K)),
    AudioEncoderConfig: ({"strides": (2, 3), "width": 4, "residual_blocks": 1}, sound()),
    LogMelEncoderConfig: ({**MEL, "strides": (2,), "width": 4, "residual_blocks": 1}, sound()),
    CepstralEncoderConfig: ({"cepstra": CepstraConfig(**MEL, coefficients=2), "width": 4}, sound()),
    ArrayEncoderConfig: ({"stride": (4,), "width": 4, "residual_blocks": 1}, Signal(axes=("time",), channels=2)),
    VideoEncoderConfig: ({"widths": (4, 4), "residual_blocks": 1, "residual_hidden": 4}, Signal(axes=AXES[3], channels=3, levels=256)),
}
"""Small settings and the data."""
DECODERS = {
    ImageDecoderConfig: ({"widths": (4, 4), "residual_blocks": 1, "residual_hidden": 4}, 7),
    CodesDecoderConfig: ({"codebook_size": K, "space": (4, 6), "layers": 2, "hidden": 4, "output_hidden": 4}, 2 * K),
    WaveNetDecoderConfig: ({"stride": 6, "levels": K, "layers": 3, "cycle": 2, "residual": 4, "skip": 4, "condition_hidden": 4}, K),
    SpectralDecoderConfig: ({"stride": 8, "width": 4, "blocks": 1, "n_fft": 8, "hop": 4}, 1),
    CepstralDecoderConfig: ({"stride": 8, "width": 4}, 6),
    ArrayDecoderConfig: ({"stride": (4, 1), "width": 4, "residual_blocks": 1}, 5),
    VideoDecoderConfig: ({"widths": (4, 4), "residual_blocks": 1, "residual_hidden": 4}, 7),
}
"""Small settings and the parameters that the likelihood takes."""
encoders = pytest.mark.parametrize("kind", typing.get_args(EncoderConfig))
decoders = pytest.mark.parametrize("kind", typing.get_args(DecoderConfig))


def encoder(kind: type) -> typing.Any:
    torch.manual_seed(0)
    settings, signal = ENCODERS[kind]
    return kind(**settings).build(signal, DIM).eval()


def decoder(kind: type) -> typing.Any:
    torch.manual_seed(0)
    settings, parameters = DECODERS[kind]
    return kind(**settings).build(DIM, parameters).eval()


def blocks(model: typing.Any) -> tuple[int, ...]:
    """A space of latents: one where the stride is all of the data, else a few."""
    return tuple(1 if getattr(model.config, "space", None) else 3 - axis for axis in range(len(model.stride)))


def data(kind: type, batch: int, space: tuple[int, ...]) -> Tensor:
    generator, signal = torch.Generator().manual_seed(1), ENCODERS[kind][1]
    shape = (batch, signal.channels, *space)
    if signal.levels is None:
        return torch.rand(shape, generator=generator) - 0.5
    return torch.randint(signal.levels, shape, generator=generator).to(torch.int64 if kind is CodesEncoderConfig else signal.dtype)


def decoded(model: typing.Any, vectors: Tensor) -> Tensor:
    past = None
    if isinstance(model, AutoregressiveDecoder):
        space = [step * length for step, length in zip(model.stride, vectors.shape[2:], strict=True)]
        past = torch.zeros(len(vectors), model.num_codebooks, *space, dtype=torch.int64)
    return model(vectors, past=past)


@encoders
@pytest.mark.parametrize("batch", [0, 2])
def test_there_is_a_latent_for_every_stride_of_data(kind: type, batch: int) -> None:
    model = encoder(kind)
    space = tuple(step * length for step, length in zip(model.stride, blocks(model), strict=True))
    assert model(data(kind, batch, space)).shape == (batch, model.dim, *blocks(model)) and model.dim == DIM
    assert len(model.context) == len(model.stride) and min(model.context) >= 0


@encoders
def test_it_names_the_axes_of_its_data_and_takes_no_other(kind: type) -> None:
    settings, signal = ENCODERS[kind]
    assert kind.axes == signal.axes
    model = encoder(kind)
    space = tuple(step * length for step, length in zip(model.stride, blocks(model), strict=True))
    with pytest.raises(DataError):
        model(torch.zeros(1, signal.channels + 1, *space, dtype=data(kind, 0, space).dtype))


@decoders
@pytest.mark.parametrize("batch", [0, 2])
def test_there_are_parameters_for_every_position_of_a_latent(kind: type, batch: int) -> None:
    model = decoder(kind)
    space = tuple(step * length // model.hop for step, length in zip(model.stride, blocks(model), strict=True))
    assert decoded(model, torch.randn(batch, DIM, *blocks(model))).shape == (batch, DECODERS[kind][1], *space)
    assert len(model.context) == len(model.stride) and min(model.context) >= 0


@encoders
def test_a_latent_is_blind_beyond_its_context(kind: type) -> None:
    model = encoder(kind)
    if getattr(model.config, "space", None):
        pytest.skip("its one latent sees all there is")
    if max(model.context) > 10**9:
        pytest.skip("its latents see whole recordings")
    around = [math.ceil(context / step) for context, step in zip(model.context, model.stride, strict=True)]
    counts = [2 * far + 3 for far in around]
    x = data(kind, 1, tuple(step * count for step, count in zip(model.stride, counts, strict=True)))
    other = data(kind, 1, x.shape[2:]).flip(2)
    middle = tuple(far + 1 for far in around)
    near = tuple(slice(at * step - far, (at + 1) * step + far) for at, step, far in zip(middle, model.stride, model.context, strict=True))
    other[(..., *near)] = x[(..., *near)]
    assert not torch.equal(x, other)
    found, changed = model(x)[(..., *middle)], model(other)[(..., *middle)]
    torch.testing.assert_close(found, changed, rtol=1e-5, atol=1e-6)
    other[(..., *near)] = other[(..., *near)].flip(-1)
    assert (model(other)[(..., *middle)] - found).abs().max() > 1e-4, "what is near must be seen"


@decoders
def test_a_block_is_blind_beyond_its_context(kind: type) -> None:
    model = decoder(kind)
    if getattr(model.config, "space", None):
        pytest.skip("its one vector is all there is")
    vectors = torch.randn(1, DIM, *(2 * context + 3 for context in model.context))
    other, middle = torch.randn_like(vectors), tuple(context + 1 for context in model.context)
    near = tuple(slice(at - far, at + far + 1) for at, far in zip(middle, model.context, strict=True))
    other[(..., *near)] = vectors[(..., *near)]
    block = tuple(slice(at * step // model.hop, (at + 1) * step // model.hop) for at, step in zip(middle, model.stride, strict=True))
    found, changed = decoded(model, vectors)[(..., *block)], decoded(model, other)[(..., *block)]
    torch.testing.assert_close(found, changed, rtol=1e-5, atol=1e-6)
    other[(..., *middle)] += 1
    assert (decoded(model, other)[(..., *block)] - found).abs().max() > 1e-5, "its own vector must matter"


@pytest.mark.parametrize(("union", "kind"), [*((EncoderConfig, kind) for kind in ENCODERS), *((DecoderConfig, kind) for kind in DECODERS)])
def test_configurations_survive_json(union: typing.Any, kind: type) -> None:
    config = kind(**(ENCODERS.get(kind) or DECODERS[kind])[0])
    assert configuration.from_json(union, json.loads(json.dumps(configuration.to_json(config)))) == config
