"""Phones along time, predicted from codes: the likeliest path of a hidden Markov model (Rabiner 1989, doi:10.1109/5.18626), counted from
codes with phones.

``phonemes`` scores each code alone, as the paper does. Codes may be much shorter than phones, so this module looks at the codes around a
moment, and at how long phones last.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from vqvae.data.phones import Phone
from vqvae.errors import DataError
from vqvae.evaluation.speech.phonemes import UNLABELLED, is_silence

_REACH = 0.04
"""Seconds before and after a moment whose codes count."""
_INDEPENDENT = 3.0
"""The codes around a moment count as so many independent ones: neighbours say nearly the same."""
_UNSEEN = 0.5
"""Is added to every count."""


class PhoneTimes(NamedTuple):
    """What a phone makes likely: codes at each distance from its moments, and the phone of the next code."""

    emissions: Float64[np.ndarray, "distances codes phones"]
    """log P(code at a distance | phone). The last code stands for what lies beyond the ends."""
    moves: Float64[np.ndarray, "phones phones"]
    """log P(phone at the next code | phone)."""
    first: Float64[np.ndarray, " phones"]
    """log P(phone)."""

    @classmethod
    def fit(
        cls, codes: Sequence[Int64[np.ndarray, " _"]], labels: Sequence[Int64[np.ndarray, " _"]], *, size: int, phones: int, rate: float
    ) -> "PhoneTimes":
        """Count.

        Args:
            codes: one array for each recording, or piece of one.
            labels: the number of the phone at each code, silence included, or ``UNLABELLED``.
            size: K.
            phones: the number of phones.
            rate: codes per second.

        Raises:
            DataError: no code has a label.
        """
        reach = max(1, round(_REACH * rate))
        kept: list[np.ndarray] = []
        moves = np.zeros(phones * phones)
        for piece, of in zip(codes, labels, strict=True):
            known = of != UNLABELLED
            kept.append(_around(piece, reach, size)[:, known] * phones + of[known])
            both = known[:-1] & known[1:]
            moves += np.bincount(of[:-1][both] * phones + of[1:][both], minlength=len(moves))
        pairs = np.concatenate([np.zeros((2 * reach + 1, 0), np.int64), *kept], 1)
        if not pairs.size:
            raise DataError(f"None of the codes of {len(codes)} recordings has a phone.")
        counts = np.stack([np.bincount(there, minlength=(size + 1) * phones) for there in pairs])
        each = counts.reshape(2 * reach + 1, size + 1, phones) + _UNSEEN
        steps = moves.reshape(phones, phones) + _UNSEEN
        return cls(np.log(each / each.sum(1, keepdims=True)), np.log(steps / steps.sum(1, keepdims=True)), np.log(each[0].sum(0)))

    def predict(self, codes: Int64[np.ndarray, " codes"]) -> Int64[np.ndarray, " codes"]:
        """The number of the phone at each code, on the likeliest path (Viterbi)."""
        distances, size, phones = self.emissions.shape
        around = _around(codes, distances // 2, size - 1)
        scores = sum(of[there] for of, there in zip(self.emissions, around, strict=True)) * (_INDEPENDENT / distances)
        came = np.zeros((len(codes), phones), np.int64)
        path = np.zeros(len(codes), np.int64)
        best = self.first
        for place, score in enumerate(scores):
            if place:
                ways = best[:, None] + self.moves
                came[place], best = ways.argmax(0), ways.max(0)
            best = best + score
        for place in range(len(codes) - 1, -1, -1):
            path[place] = best.argmax() if place == len(codes) - 1 else came[place + 1, path[place + 1]]
        return path


def phones_of(path: Int64[np.ndarray, " codes"], names: Sequence[str], rate: float) -> list[Phone]:
    """A path as phones along time, in seconds, without silence."""
    found, at = [], 0
    for number, same in itertools.groupby(path.tolist()):
        end = at + len(list(same))
        if not is_silence(names[number]):
            found.append(Phone(at / rate, end / rate, names[number]))
        at = end
    return found


def _around(codes: Int64[np.ndarray, " codes"], reach: int, beyond: int) -> Int64[np.ndarray, "distances codes"]:
    """The codes at each distance, from ``reach`` before to ``reach`` after."""
    padded = np.pad(codes, reach, constant_values=beyond)
    return np.lib.stride_tricks.sliding_window_view(padded, len(codes)) if len(codes) else np.zeros((2 * reach + 1, 0), np.int64)
