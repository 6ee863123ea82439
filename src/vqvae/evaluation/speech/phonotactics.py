"""How likely the order of phones is: the trigram perplexity of spoken sequences, by which generated speech is told from babble."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from vqvae.errors import DataError

_EDGE, _UNSEEN = object(), object()


def phone_trigram_perplexity(fit: Sequence[Sequence[str]], scored: Sequence[Sequence[str]]) -> float:
    """exp of the mean of −log p(phone | the two before) over ``scored``, where p is counted on ``fit``. The end of a sequence counts as
    a phone: one that stops in the wrong place is unlikely.

    Witten-Bell smoothing (Witten & Bell 1991, https://doi.org/10.1109/18.87000), interpolated: p(w|h) = (c(hw) + t(h) p(w|h′)) / (c(h) +
    t(h)), with h′ one phone shorter than h and t(h) the number of different phones after h. The last resort is an even probability for
    the phones of ``fit``, the end, and one more for every phone that ``fit`` does not have.

    Args:
        fit: sequences of phones to count, without repeats from frame to frame.
        scored: sequences to score. Those of ``fit`` would come out too well.

    Raises:
        DataError: there is nothing to count or nothing to score.
    """
    if not any(fit) or not scored:
        raise DataError(f"{len(fit)} sequences came to count and {len(scored)} to score; there must be phones in some of each.")
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
    """Each phone, and the end, after the two before it. Phones that are not ``known`` become one."""
    for sequence in sequences:
        phones = [phone if known is None or phone in known else _UNSEEN for phone in sequence]
        padded = [_EDGE, _EDGE, *phones, _EDGE]
        for place in range(2, len(padded)):
            yield (padded[place - 2], padded[place - 1]), padded[place]
