"""Encode and decode long sequences and clips piece by piece, in constant memory and with the same result as in one pass."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from vqvae.codes import Codes
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError
from vqvae.layers.autoregressive import Choice, extend
from vqvae.likelihoods.base import BinnedLikelihood
from vqvae.models.autoencoder import CodeAutoencoder
from vqvae.models.base import Tokenizer
from vqvae.models.decoding import logits_of
from vqvae.models.invariant import encode_rows
from vqvae.models.padding import pad
from vqvae.networks import Given, WaveNetDecoder
from vqvae.networks.base import trait

LONG = 1 << 19
"""Number of positions from which ``decode_whole`` works in pieces: half a minute of speech."""
PIECE = 1 << 14
"""Positions in a piece of a sequence that is encoded, with its context: a second of speech. More if the context is long."""


def encode_sequences(model: Tokenizer, examples: Sequence[Tensor]) -> list[Codes]:
    """The codes of each example (channels, *axes), on the CPU, with a batch axis of 1. Long sequences are encoded in pieces of one
    length, as in ``encode_stream``.

    Raises:
        DataError: if the model does not accept an example.
    """
    if not isinstance(model, CodeAutoencoder) or not model.streams:
        return encode_rows(model, examples)
    cutters = [_Cutter(model) for _ in examples]
    # Less one: what ends with a part is no other part than the last one.
    parts = [[*cut.ready(example.shape[-1] - 1), *cut.rest(example.shape[-1])] for cut, example in zip(cutters, examples, strict=True)]
    rows = [
        pad(example[None, ..., part.data], model.stride)[0] for example, several in zip(examples, parts, strict=True) for part in several
    ]
    found = iter(encode_rows(model, rows))
    return [Codes([torch.cat([next(found).tensor[..., part.kept] for part in several], -1)]) for several in parts]


def decode_whole(
    model: Tokenizer,
    codes: Codes,
    condition: Condition,
    generator: torch.Generator | None,
    temperature: float,
    size: tuple[int, ...] | None,
) -> Tensor:
    """Like ``model.decode``, but decode long sequences in overlapping pieces, with the same result up to rounding. A decoder that draws
    sample by sample keeps little memory anyway."""
    frames = codes[0].shape[-1]
    short = temperature or len(codes) > 1 or codes.masks[0] is not None
    if short or not isinstance(model, CodeAutoencoder) or not model.streams or frames * model.stride[0] <= LONG:
        return model.decode(codes, condition, generator, temperature, size)
    wave = torch.cat(list(decode_stream(model, codes[0].split(LONG // 8 // model.stride[0] + 1, -1), condition)), -1)
    return wave if size is None else wave[..., : size[0]]


def encode_stream(
    model: CodeAutoencoder, blocks: Iterable[Shaped[Tensor, "batch channels _time *axes"]]
) -> Iterator[Int[Tensor, "batch codebooks _frames *space"]]:
    """Encode audio, or clips for a causal model, that arrive in blocks of any length, including 0.

    A code is returned once the encoder has everything that the code depends on (``encoder.context``). The codes equal those of
    ``model.encode`` on all blocks together, except when two codes are equally near up to rounding. A causal model returns the codes of a
    frame once it has the frame, or all frames that share the codes, and keeps only the frames that later codes depend on.

    Raises:
        ConfigError: if the model's data has no time axis.
        DataError: if the encoder does not accept a block.
    """
    if model.masks_frames:
        yield from _encode_causal(model, blocks)
        return
    cutter, held, first = _Cutter(model), None, 0

    def encoded(parts: Iterable["Part"]) -> Iterator[Tensor]:
        several = [*parts]
        if held is not None and several:
            whole = [pad(held[..., part.data.start - first : part.data.stop - first], model.stride) for part in several]
            found = iter(encode_rows(model, [row for part in whole for row in part]))
            yield torch.cat([torch.cat([next(found).tensor for _ in held])[..., part.kept] for part in several], -1)

    for block in blocks:
        held = block if held is None else torch.cat([held, block], -1)
        yield from encoded(cutter.ready(first + held.shape[-1]))
        passed = max(cutter.needed - first, 0)
        held, first = held[..., passed:], first + passed
    if held is not None:
        yield from encoded(cutter.rest(first + held.shape[-1]))


def decode_stream(
    model: CodeAutoencoder,
    blocks: Iterable[Int[Tensor, "batch codebooks _frames *space"]],
    condition: Condition = Condition(),
    generator: torch.Generator | None = None,
    temperature: float = 0.0,
) -> Iterator[Shaped[Tensor, "batch channels _time *axes"]]:
    """Decode codes that arrive in blocks of any length, including 0; see ``Tokenizer.decode``. A causal model of clips returns the frames
    of each block at once.

    At temperature 0, the audio equals that of ``model.decode`` on all blocks together, up to rounding. At other temperatures, a WaveNet
    makes the same draws for a single example; other draws have the same distribution.

    Raises:
        ConfigError: if the model's data has no time axis.
        DataError: if the decoder does not accept a block or the condition.
    """
    if model.masks_frames:
        yield from _decode_causal(model, blocks, condition, generator, temperature)
        return
    (stride,), decoder = _over_time(model.stride), model.decoder
    parts = pieces(blocks, _context(decoder), 1)
    if isinstance(decoder, WaveNetDecoder):
        yield from _drawn(model, decoder, parts, condition, generator, Choice(temperature))
        return
    for piece in parts:
        with torch.no_grad():
            wave = model.decode(piece.x, condition, generator, temperature)
        yield wave[..., piece.inside.start * stride : piece.inside.stop * stride]


def _encode_causal(model: CodeAutoencoder, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Encode clips with the frames before a block that its codes depend on. The first frame of what is held stands alone, as the first
    frame of a clip does: this changes only codes that were returned before."""
    stride, lead = model.stride[0], (*model.lead, 0)[0]
    context, held, done = math.ceil((_context(model.encoder) + lead) / stride), None, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], 2)
        ready = (held.shape[2] + lead) // stride
        if ready > done:
            yield _encoded(model, held[:, :, : ready * stride - lead])[:, :, done:]
            first = max(ready - context, 0)
            held, done = held[:, :, first * stride :], ready - first
    if held is not None and held.shape[2] > max(done * stride - lead, 0):
        yield _encoded(model, held)[:, :, done:]


def _decode_causal(
    model: CodeAutoencoder, blocks: Iterable[Tensor], condition: Condition, generator: torch.Generator | None, temperature: float
) -> Iterator[Tensor]:
    """Decode codes of clips with the codes before a block that its frames depend on."""
    stride, lead = model.stride[0], (*model.lead, 0)[0]
    # The first code that is held decodes to a single frame.
    context, held, done = max(_context(model.decoder), min(lead, 1)), None, 0
    for block in blocks:
        held = block if held is None else torch.cat([held, block], 2)
        if held.shape[2] > done:
            with torch.no_grad():
                made = model.decode(held, condition, generator, temperature)
            yield made[:, :, max(done * stride - lead, 0) :]
            first = max(held.shape[2] - context, 0)
            held, done = held[:, :, first:], held.shape[2] - first


def _encoded(model: CodeAutoencoder, x: Tensor) -> Tensor:
    with torch.no_grad():
        return model.encode(Batch(x)).tensor


def _drawn(
    model: CodeAutoencoder,
    decoder: WaveNetDecoder,
    parts: Iterable["Piece"],
    condition: Condition,
    generator: torch.Generator | None,
    choice: Choice,
) -> Iterator[Float[Tensor, "batch channels _time"]]:
    """Draw the samples of each piece. The state is kept from piece to piece."""
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


class Part(NamedTuple):
    """A part of a sequence that is encoded alone."""

    data: slice
    """Its positions, the context included."""
    kept: slice
    """Its latents that are kept. The rest is context."""


class _Cutter:
    """Cuts a sequence that arrives bit by bit into parts of one length. They depend only on the length of the whole sequence.

    The first part has context only behind it. The last one is moved back to end with the sequence. A sequence that is no longer than a
    part is a part of its own length.
    """

    def __init__(self, model: CodeAutoencoder) -> None:
        (self._stride,) = _over_time(model.stride)
        self._context = math.ceil(_context(model.encoder) / self._stride)
        self._whole = max(PIECE // self._stride, 4 * self._context, 1)
        self._done = 0

    @property
    def needed(self) -> int:
        """The first position that later parts may need."""
        return max(self._done - self._whole, 0) * self._stride

    def ready(self, length: int) -> Iterator[Part]:
        """The parts that can be encoded, if this many positions have arrived so far."""
        while (start := max(self._done - self._context, 0)) + self._whole <= length // self._stride:
            until = self._whole - self._context
            yield Part(slice(start * self._stride, (start + self._whole) * self._stride), slice(self._done - start, until))
            self._done = start + until

    def rest(self, length: int) -> Iterator[Part]:
        """The last part, if this is the length of the sequence and it has not ended with a part."""
        latents = math.ceil(length / self._stride)
        if self._done < latents:
            start = max(latents - self._whole, 0)
            yield Part(slice(start * self._stride, length), slice(self._done - start, latents - start))
            self._done = latents


class Piece(NamedTuple):
    """A piece of a sequence, with the context that it needs."""

    x: Tensor
    inside: slice
    """The positions whose output is kept. The rest is context."""


def pieces(blocks: Iterable[Tensor], context: int, multiple: int) -> Iterator[Piece]:
    """Cut blocks into pieces with up to ``context`` positions of context on each side. The length that is kept is a multiple of
    ``multiple``, except in the last piece."""
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
            f"{type(network).__name__} has no context, so it cannot run piece by piece. Set self.context = (positions,): the number of "
            "positions on each side that an output depends on."
        )
    return context[0]


def _over_time(stride: tuple[int, ...]) -> tuple[int]:
    if len(stride) != 1:
        raise ConfigError(f"The stride is {stride}. Only data with a single axis, time, and clips of a causal model can be streamed.")
    return stride
