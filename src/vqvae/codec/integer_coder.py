"""Codes under the integer prior: the smallest files."""

import math
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from torch import Tensor

from vqvae.codec.context import Context
from vqvae.codec.entropy import EntropyCoder
from vqvae.codec.integer import LARGEST_ACTIVATION, IntegerPrior, Network
from vqvae.codec.integer_loop import add_product, decode_with, rectify
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
        view = _View(self, shape[1:], condition)
        features = np.empty((view.where.own.size, self.config.width))
        features[:] = self._network.embedding[:, -1].sum(0)
        decoder, codes = RangeDecoder(data), np.empty((math.prod(shape[1:]), self.num_codebooks), np.int64)
        decode = _fast_loop() or _plain_loop
        for block in view.blocks():
            found = codes[block]
            given = (view.where.own.inside[block], view.where.own.offsets, view.sums(block), float(LARGEST_ACTIVATION))
            count = decode(self._network, decoder, found, features, *given)
            if count < len(found):
                raise BitstreamError(
                    f"The bytes end at position {block.start + count} of {len(codes)}, or are no codes of this model. Get another copy of "
                    "the file."
                )
        decoder.finish()
        return np.ascontiguousarray(codes.T).reshape(shape)

    def _found(self, codes: Int64[np.ndarray, "codebooks *space"], condition: Condition) -> Any:
        """The frequencies of all codes, block by block: start, size and total, in the order of the message."""
        view, network = _View(self, codes.shape[1:], condition), self._network
        padded = view.where.own.fill(codes, self.codebook_size)
        for block in view.blocks():
            inside = view.where.own.inside[block]
            around = padded[inside[:, None] + view.where.own.offsets]
            features = sum(table[around[..., book]] for book, table in enumerate(network.embedding))
            features = features.reshape(len(inside), -1)
            sums = view.sums(block) + features @ network.context[: features.shape[1]]
            earlier, here = np.zeros((len(inside), self.config.width)), padded[inside]
            found = np.empty((3, len(inside), self.num_codebooks), np.int64)
            for book in range(self.num_codebooks):
                code = here[:, book, None]
                starts = starts_of(network.frequencies(sums, earlier, book))
                low, high = (np.take_along_axis(starts, code + more, 1)[:, 0] for more in (0, 1))
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
        known = None if actions is None or not config.actions else actions[0].numpy()
        self._rows = self.where.rows(int(label[0]) if label is not None and config.classes else None, known)
        self._features = []
        first = 0
        for one, padded, size in zip(above, self.where.above, config.above_sizes, strict=True):
            filled = padded.fill(one[0].numpy(), size) + first + np.arange(one.shape[1]) * (size + 1)
            self._features.append(self._network.above[filled].sum(1))
            first += one.shape[1] * (size + 1)
        largest = max(config.codebook_size, config.inputs, config.hidden)
        self._block = min(max(_NUMBERS // largest, 1), 4096)

    def blocks(self) -> list[slice]:
        """The positions in blocks that fit in memory."""
        count = len(self._rows)
        return [slice(first, min(first + self._block, count)) for first in range(0, count, self._block)]

    def sums(self, block: slice) -> Float64[np.ndarray, "positions hidden"]:
        """What the first layer gets from everything but neighbours."""
        rows, network = self._rows[block], self._network
        sums = network.given[rows].sum(1)
        first = len(network.context) - sum(len(padded.offsets) for padded in self.where.above) * network.embedding.shape[2]
        for features, padded, nearest in zip(self._features, self.where.above, self.where.nearest, strict=True):
            seen = features[nearest[block, None] + padded.offsets].reshape(len(rows), -1)
            sums += seen @ network.context[first : first + seen.shape[1]]
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
    network: Network, decoder: RangeDecoder, codes: Any, features: Any, inside: Any, offsets: Any, sums: Any, largest: float
) -> int:
    """``integer_loop`` without numba, for some positions."""
    state, data, near = decoder.state.tolist(), decoder.data.tobytes(), len(offsets) * features.shape[1]
    for n, place in enumerate(inside.tolist()):
        total = sums[n : n + 1] + features[place + offsets].reshape(1, -1) @ network.context[:near]
        here = np.zeros((1, features.shape[1]))
        for book in range(codes.shape[1]):
            starts = starts_of(network.frequencies(total, here, book)[0])
            at = state[0] // (state[1] // int(starts[-1]))
            if at >= starts[-1] or state[2] > len(data) + 6:
                return n
            code = int(np.searchsorted(starts[1:], at, side="right"))
            take_code(state, data, int(starts[code]), int(starts[code + 1] - starts[code]), int(starts[-1]))
            codes[n, book] = code
            here += network.embedding[book, code]
        features[place] = here[0]
    decoder.state[:] = state
    return len(codes)


@cache
def _fast_loop() -> Any:
    """``integer_loop``, compiled; None without numba."""
    compiled = compiler()
    if compiled is None:
        return None
    loop = compiled(decode_with(compiled(take_code), compiled(add_product), compiled(rectify)))

    def decode(network: Network, decoder: RangeDecoder, *arrays: Any) -> int:
        weights = (network.embedding, network.context, network.earlier, network.bias, network.middle, network.middle_bias, network.output)
        return loop(decoder.state, decoder.data, *arrays, (*weights, network.output_bias, network.scales, network.exponentials))

    return decode
