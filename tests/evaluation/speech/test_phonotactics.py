"""Trigram perplexity beside hand-made probabilities."""

import math

import pytest

from vqvae.errors import DataError
from vqvae.evaluation.speech.phonotactics import phone_trigram_perplexity


def test_probabilities_are_those_of_the_formula() -> None:
    # Counts of "a b": a, b and the end once each; 3 symbols and one for all others, so the last resort is 1/4.
    unigram = dict.fromkeys(("a", "b", "end"), (1 + 3 / 4) / 6) | {"unseen": (0 + 3 / 4) / 6}
    assert sum(unigram.values()) == pytest.approx(1)

    def seen(p: float) -> float:
        # After each history, of one symbol or of two, there is one count of one symbol.
        return (1 + (1 + p) / 2) / 2

    expected = math.exp(-sum(math.log(seen(unigram[symbol])) for symbol in ("a", "b", "end")) / 3)
    assert phone_trigram_perplexity([["a", "b"]], [["a", "b"]]) == pytest.approx(expected)
    # "b" at the start: both histories are known, neither with b. Then (start, b) is unknown, but b is followed by the end.
    p = unigram["b"] / 4 * ((1 + unigram["end"]) / 2)
    assert phone_trigram_perplexity([["a", "b"]], [["b"]]) == pytest.approx(p**-0.5)
    # Phones that were never counted share one place; after them nothing is known but frequencies.
    p = unigram["unseen"] / 4 * unigram["unseen"] * unigram["end"]
    assert phone_trigram_perplexity([["a", "b"]], [["x", "y"]]) == pytest.approx(p ** (-1 / 3))


def test_order_is_what_counts() -> None:
    fit = [list("abcabcabcabc")] * 5
    ordered, reversed_ = (phone_trigram_perplexity(fit, [list(text)]) for text in ("abcabcabc", "cbacbacba"))
    assert ordered < 1.5 and reversed_ > 4


def test_nothing_to_count_is_an_error() -> None:
    for fit, scored in (([], [["a"]]), ([[]], [["a"]]), ([["a"]], [])):
        with pytest.raises(DataError, match="both need at least one phone"):
            phone_trigram_perplexity(fit, scored)
