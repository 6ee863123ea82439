"""Codes under the integer prior: the smallest files."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from torch import Tensor

from vqvae.codec.context import Context
from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.integer import LARGEST_ACTIVATION, IntegerPrior, Network, product
from vqvae.codec.integer_loop import add_product, decode_with, rectify, weigh
from vqvae.codec.range_coder import RangeDecoder, RangeEncoder, compiler, starts_of, take_code
from vqvae.data.base import Condition
from vqvae.errors import BitstreamError, ConfigError, DataError
from vqvae.priors.base import check_label, check_prior_codes

_NUMBERS = 2**22
"""Numbers that a block of positions may need for one of its arrays."""


class PriorCoder(EntropyCoder):
    """Range coding with the frequencies of an ``IntegerPrior``, in raster order, codebook fastest.

    The label and the actions may be missing; codes then cost more. The codes of the levels above are required.
    """

    name = "prior"

    def __init__(self, prior: IntegerPrior) -> None:
        """Check the integers.

        Raises:
            CheckpointError: if they are impossible.
            ConfigError: if the prior has only frequencies.
        """
        self.config = prior.config
        super().__init__(self.config.num_codebooks, self.config.codebook_size)
        if not self.config.hidden:
            raise ConfigError(f"Codebooks of {self.codebook_size} codes are too large for the mode 'prior'. Use the mode 'static'.")
        self._network, self._fingerprint = Network(prior), prior.fingerprint

    @property
    def fingerprint(self) -> bytes:
        """A digest of the integers."""
        return self._fingerprint

    def _costs(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> Float64[np.ndarray, "codebooks *space"]:
        bits = [np.log2(totals / sizes) for _, sizes, totals in self._found(codes, condition)]
        return np.concatenate(bits).reshape(-1, self.num_codebooks).T.reshape(codes.shape)

    def _encode(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> bytes:
        encoder = RangeEncoder()
        for block in self._found(codes, condition):
            encoder.put(*block)
        return encoder.finish()

    def _decode(self, data: bytes, shape: tuple[int, ...], condition: Condition) -> Int64[np.ndarray, "codebooks *space"]:
        view, decoder = _View(self, shape[1:], condition), RangeDecoder(data)
        padded, codes = view.where.own.empty(self.num_codebooks), np.empty((view.where.count, self.num_codebooks), np.int64)
        decode = _fast_loop() or _plain_loop
        for positions in view.blocks():
            first, found = int(positions[0]), codes[positions[0] : positions[-1] + 1]
            where = (view.where.inside(positions), view.where.own.offsets, view.sums(positions), float(LARGEST_ACTIVATION))
            count = decode(self._network, decoder, found, padded, *where)
            if count < len(found):
                raise BitstreamError(
                    f"The bytes end at position {first + count} of {len(codes)}, or are no codes of this model. Get another copy of the "
                    "file."
                )
        decoder.finish()
        return np.ascontiguousarray(codes.T).reshape(shape)

    def _found(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> Any:
        """The frequencies of all codes, block by block: start, size and total, in the order of the message."""
        view, network = _View(self, codes.shape[1:], condition), self._network
        padded = view.where.own.fill(codes)
        for positions in view.blocks():
            inside = view.where.inside(positions)
            near = network.embedded(padded[inside[:, None] + view.where.own.offsets]).reshape(len(inside), -1)
            sums = view.sums(positions) + product(near, network.context[: near.shape[1]])
            earlier, here = np.zeros((len(inside), self.config.width)), padded[inside]
            found = np.empty((3, len(inside), self.num_codebooks), np.int64)
            for book in range(self.num_codebooks):
                after = here[:, book, None]
                starts = starts_of(network.frequencies(sums, earlier, book))
                low, high = (np.take_along_axis(starts, after - less, 1)[:, 0] for less in (1, 0))
                found[:, :, book] = low, high - low, starts[:, -1]
                earlier += network.embedding[book, here[:, book]]
            yield found.reshape(3, -1)


class _View:
    """What is known about the positions of a map besides their neighbours."""

    def __init__(self, coder: PriorCoder, space: tuple[int, ...], condition: Condition) -> None:
        config, self._network = coder.config, coder._network
        if len(space) != config.axes:
            raise DataError(f"The codes have {len(space)} axes of space {space}; this coder was trained on {config.axes}.")
        if condition.label is not None:
            check_label(condition, config.classes, 1)
        sizes = zip(_above(config, condition, space), config.above_codebooks, config.above_sizes, strict=True)
        above = [check_prior_codes(one, books, size) for one, books, size in sizes]
        self.where = Context(space, [tuple(one.shape[2:]) for one in above], config.strides, config.classes, config.actions)
        """Where the context is."""
        label, actions = condition.label, condition.actions
        if actions is not None and config.actions and not 0 <= int(actions.min()) <= int(actions.max()) < config.actions:
            raise DataError(f"Actions lie between {int(actions.min())} and {int(actions.max())}; this coder has 0 to {config.actions - 1}.")
        self._label = int(label[0]) if label is not None and config.classes else None
        self._actions = actions[0].numpy() if actions is not None and config.actions else None
        self._features, first = [], 0
        for one, padded, size in zip(above, self.where.above, config.above_sizes, strict=True):
            books = one.shape[1]
            self._features.append(self._network.above[padded.fill(one[0].numpy()) + first + np.arange(books) * (size + 1)].sum(1))
            first += books * (size + 1)
        self._block = min(max(_NUMBERS // max(config.codebook_size, config.inputs, config.hidden), 1), 4096)

    def blocks(self) -> Iterator[Int64[np.ndarray, " positions"]]:
        """The positions in blocks that fit in memory."""
        for first in range(0, self.where.count, self._block):
            yield np.arange(first, min(first + self._block, self.where.count))

    def sums(self, positions: Int64[np.ndarray, " positions"]) -> Float64[np.ndarray, "positions hidden"]:
        """What the first layer gets from everything but neighbours."""
        network = self._network
        sums = network.given[self.where.rows(positions, self._label, self._actions)].sum(1)
        first = len(self.where.own.offsets) * network.embedding.shape[2]
        for level, (features, padded) in enumerate(zip(self._features, self.where.above, strict=True)):
            seen = features[self.where.nearest(level, positions)[:, None] + padded.offsets].reshape(len(positions), -1)
            sums += product(seen, network.context[first : first + seen.shape[1]])
            first += seen.shape[1]
        return sums


def _above(config: Any, condition: Condition, space: tuple[int, ...]) -> tuple[Tensor, ...]:
    """The codes of the levels above."""
    above = condition.codes if config.above_sizes else ()
    if len(above) != len(config.above_sizes) or any(len(one) != 1 or one.ndim != len(space) + 2 or not one.numel() for one in above):
        raise DataError(
            f"condition.codes has the shapes {[tuple(one.shape) for one in above]}; this coder needs the codes of "
            f"{len(config.above_sizes)} levels above, for one example, with {len(space)} axes of space."
        )
    return above


def _plain_loop(
    network: Network, decoder: RangeDecoder, codes: Any, padded: Any, inside: Any, offsets: Any, sums: Any, largest: float
) -> int:
    """``integer_loop`` without numba, for some positions."""
    (offset, width, read), data = decoder.state.tolist(), decoder.data.tobytes()
    for n, place in enumerate(inside.tolist()):
        near = network.embedded(padded[place + offsets]).reshape(1, -1)
        total = sums[n : n + 1] + product(near, network.context[: near.shape[1]])
        here = np.zeros((1, network.embedding.shape[2]))
        for book in range(codes.shape[1]):
            starts = starts_of(network.frequencies(total, here, book)[0])
            unit = width // int(starts[-1])
            at = offset // unit
            if at >= starts[-1] or read > len(data) + 6:
                return n
            code = int(np.searchsorted(starts[1:], at, side="right"))
            offset, width, read = take_code(offset, width, read, data, int(starts[code]), int(starts[code + 1] - starts[code]), unit)
            codes[n, book] = code
            padded[place, book] = code + 1
            here += network.embedding[book, code + 1]
    decoder.state[:] = offset, width, read
    return len(codes)


@cache
def _fast_loop() -> Any:
    """``integer_loop``, compiled; None without numba."""
    compiled = compiler()
    if compiled is None:
        return None
    loop = compiled(decode_with(compiled(take_code), compiled(add_product), compiled(rectify), compiled(weigh)))

    def decode(network: Network, decoder: RangeDecoder, *arrays: Any) -> int:
        weights = (network.embedding, network.context, network.earlier, network.bias, network.middle, network.middle_bias, network.output)
        return loop(decoder.state, decoder.data, *arrays, (*weights, network.output_bias, network.scales, network.exponentials))

    return decode
