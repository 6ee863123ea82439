"""The trigram perplexity of phone sequences: it distinguishes generated speech from babble."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from vqvae.errors import DataError

_EDGE, _UNSEEN = object(), object()


def phone_trigram_perplexity(fit: Sequence[Sequence[str]], scored: Sequence[Sequence[str]]) -> float:
    """exp of the mean of −log p(phone | the two before) over ``scored``, with p counted on ``fit``. The end of a sequence counts as a
    phone, so a sequence that ends in the wrong place is unlikely.

    Witten-Bell smoothing (Witten & Bell 1991, https://doi.org/10.1109/18.87000), interpolated: p(w|h) = (c(hw) + t(h) p(w|h′)) / (c(h) +
    t(h)), with h′ one phone shorter than h and t(h) the number of different phones after h. The last fallback is a uniform distribution
    over the phones of ``fit``, the end, and one symbol for all phones that are not in ``fit``.

    Args:
        fit: sequences of phones to count, without repeats from frame to frame.
        scored: sequences to score. Use others than in ``fit``, whose own perplexity is too low.

    Raises:
        DataError: if there is nothing to count, or nothing to score.
    """
    if not any(fit) or not scored:
        raise DataError(f"There are {len(fit)} sequences to count and {len(scored)} to score; both need at least one phone.")
    followers: dict[tuple, Counter] = defaultdict(Counter)
    for history, phone in _trigrams(fit):
        for start in range(3):
            followers[history[start:]][phone] += 1
    known = frozenset(followers[()])
    nats, count = 0.0, 0
    for history, phone in _trigrams(scored, known):
        probability = 1 / (len(known) + 1)
        for start in (2, 1, 0):
            after = followers.get(history[start:])
            if after is not None:
                probability = (after[phone] + len(after) * probability) / (after.total() + len(after))
        nats -= math.log(probability)
        count += 1
    return math.exp(nats / count)


def _trigrams(sequences: Sequence[Sequence[str]], known: frozenset | None = None) -> Iterator[tuple[tuple, object]]:
    """Each phone, and the end, with the two phones before it. All phones that are not ``known`` become one symbol."""
    for sequence in sequences:
        phones = [phone if known is None or phone in known else _UNSEEN for phone in sequence]
        padded = [_EDGE, _EDGE, *phones, _EDGE]
        for place in range(2, len(padded)):
            yield (padded[place - 2], padded[place - 1]), padded[place]
