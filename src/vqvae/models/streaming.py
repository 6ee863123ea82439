"""Encode and decode over time piece by piece: what comes out is what the whole gives, in memory that does not grow."""

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from vqvae.codes import Codes
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError
from vqvae.layers.autoregressive import Choice, extend
from vqvae.likelihoods.base import BinnedLikelihood
from vqvae.models.autoencoder import CodeAutoencoder
from vqvae.models.base import Tokenizer
from vqvae.models.decoding import logits_of
from vqvae.networks import Given, WaveNetDecoder
from vqvae.networks.base import trait

LONG = 1 << 19
"""Positions over time from which ``encode_whole`` works in pieces: half a minute of speech."""


def encode_whole(model: Tokenizer, batch: Batch) -> Codes:
    """As ``model.encode``; data that is long over time is encoded in pieces, in memory that does not grow, to the same codes."""
    short = batch.mask is not None or batch.x.shape[-1] <= LONG
    if short or not isinstance(model, CodeAutoencoder) or not model.streams or _context(model.encoder) > LONG:
        return model.encode(batch)
    return Codes([torch.cat(list(encode_stream(model, batch.x.split(LONG // 8, -1))), -1)])


def encode_stream(
    model: CodeAutoencoder, blocks: Iterable[Float[Tensor, "batch channels time"]]
) -> Iterator[Int[Tensor, "batch codebooks frames"]]:
    """Encode audio that comes in blocks of any lengths, 0 included.

    Codes come as soon as the encoder has seen as much after them as it looks at (``encoder.context``). They are those of
    ``model.encode`` of all blocks together, but where rounding decides between two codes.

    Raises:
        ConfigError: the model's data is not over time.
        DataError: blocks that the encoder does not take.
    """
    (stride,) = _over_time(model.stride)
    context = math.ceil(_context(model.encoder) / stride) * stride
    for piece in pieces(blocks, context, stride):
        with torch.no_grad():
            codes = model.encode(Batch(piece.x)).tensor
        yield codes[..., piece.inside.start // stride : math.ceil(piece.inside.stop / stride)]


def decode_stream(
    model: CodeAutoencoder,
    blocks: Iterable[Int[Tensor, "batch codebooks frames"]],
    condition: Condition = Condition(),
    generator: torch.Generator | None = None,
    temperature: float = 0.0,
) -> Iterator[Float[Tensor, "batch channels time"]]:
    """Decode codes that come in blocks of any lengths, 0 included; see ``Tokenizer.decode``.

    At the temperature 0 audio is that of ``model.decode`` of all blocks together, to float rounding. A WaveNet's draws at another
    temperature are, too, for one example; other draws only have the same distribution.

    Raises:
        ConfigError: the model's data is not over time.
        DataError: blocks or a condition that the decoder does not take.
    """
    (stride,), decoder = _over_time(model.stride), model.decoder
    parts = pieces(blocks, _context(decoder), 1)
    if isinstance(decoder, WaveNetDecoder):
        yield from _drawn(model, decoder, parts, condition, generator, Choice(temperature))
        return
    for piece in parts:
        with torch.no_grad():
            wave = model.decode(piece.x, condition, generator, temperature)
        yield wave[..., piece.inside.start * stride : piece.inside.stop * stride]


def _drawn(
    model: CodeAutoencoder,
    decoder: WaveNetDecoder,
    parts: Iterable["Piece"],
    condition: Condition,
    generator: torch.Generator | None,
    choice: Choice,
) -> Iterator[Float[Tensor, "batch channels time"]]:
    """The samples of each piece's codes, drawn by a state that goes on from piece to piece."""
    likelihood, state = model.criterion, None
    assert isinstance(likelihood, BinnedLikelihood), "checked when the model was built"
    steps: Any = logits_of(decoder, likelihood)
    source = "cpu" if generator is None else generator.device
    for piece in parts:
        with torch.no_grad():
            state = decoder.go_on(state, Given(model.vectors(piece.x), condition), piece.inside)
        count = (piece.inside.stop - piece.inside.start) * decoder.config.stride
        uniforms = torch.rand(len(piece.x), count, generator=generator, dtype=torch.float64, device=source)
        yield likelihood.restore(extend(steps, state, uniforms, choice).unsqueeze(1))


class Piece(NamedTuple):
    """A piece of a sequence with the context that the work on it needs."""

    x: Tensor
    inside: slice
    """What is wanted of it; the rest is context."""


def pieces(blocks: Iterable[Tensor], context: int, multiple: int) -> Iterator[Piece]:
    """Pieces with as much context on each side as there is, up to ``context``; all but the last want a multiple of ``multiple``."""
    held, done = None, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], -1)
        ready = max(held.shape[-1] - done - context, 0) // multiple * multiple
        if ready:
            yield Piece(held[..., : done + ready + context], slice(done, done + ready))
            passed = max(done + ready - context, 0)
            held, done = held[..., passed:], done + ready - passed
    if held is not None and held.shape[-1] > done:
        yield Piece(held, slice(done, held.shape[-1]))


def _context(network: nn.Module) -> int:
    context = trait(network, "context")
    if context is None:
        raise ConfigError(
            f"{type(network).__name__} does not say how far it sees, so it cannot work on pieces. Set self.context = (positions,): "
            "those on each side that an output depends on."
        )
    return context[0]


def _over_time(stride: tuple[int, ...]) -> tuple[int]:
    if len(stride) != 1:
        raise ConfigError(f"The stride is {stride}; only data over time, with one axis, comes in blocks.")
    return stride
