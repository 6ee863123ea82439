"""Phones along time, as the likeliest path."""

import numpy as np
import pytest

from vqvae.data.phones import Phone
from vqvae.errors import DataError
from vqvae.evaluation.speech.phone_times import PhoneTimes, phones_of
from vqvae.evaluation.speech.phonemes import UNLABELLED

RATE = 100.0


def spoken(seed: int, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Codes and phones of a recording: phones last ten codes, and some codes say nothing about them."""
    random = np.random.default_rng(seed)
    phones = np.repeat(random.integers(0, 3, 20), 10)
    codes = np.where(
        random.random(len(phones)) < noise, random.integers(0, 9, len(phones)), 3 * phones + random.integers(0, 3, len(phones))
    )
    return codes, phones


def fitted(count: int = 40) -> PhoneTimes:
    codes, phones = zip(*(spoken(seed) for seed in range(count)), strict=True)
    return PhoneTimes.fit(codes, phones, size=9, phones=3, rate=RATE)


def test_a_path_is_right_where_single_codes_are_not() -> None:
    codes, phones = spoken(1000)
    path = fitted().predict(codes)
    assert (codes // 3 == phones).mean() < 0.85 < 0.9 < (path == phones).mean()
    assert (np.diff(path) != 0).sum() <= (np.diff(phones) != 0).sum() + 2, "phones are as long as in training"


def test_codes_without_a_label_do_not_count() -> None:
    codes, phones = spoken(0)
    other = np.concatenate([codes, np.full(50, 8)])
    labels = np.concatenate([phones, np.full(50, UNLABELLED)])
    one, two = (PhoneTimes.fit([c], [of], size=9, phones=3, rate=RATE) for c, of in ((codes, phones), (other, labels)))
    assert np.array_equal(one.moves, two.moves) and np.array_equal(one.first, two.first)
    with pytest.raises(DataError, match="None of the codes of 1 recordings has a phone"):
        PhoneTimes.fit([codes], [np.full(len(codes), UNLABELLED)], size=9, phones=3, rate=RATE)


def test_nothing_and_one_code_have_a_path() -> None:
    times = fitted(5)
    assert times.predict(np.zeros(0, np.int64)).tolist() == []
    assert times.predict(np.array([4])).tolist() in ([0], [1], [2])


def test_equal_neighbours_are_one_phone_and_silence_is_none() -> None:
    assert phones_of(np.array([1, 1, 0, 0, 2]), ("SIL", "AH", "T"), 10.0) == [Phone(0.0, 0.2, "AH"), Phone(0.4, 0.5, "T")]


def test_counts_by_hand() -> None:
    times = PhoneTimes.fit([np.array([5, 5, 6, 7])], [np.array([0, 0, 0, 1])], size=9, phones=2, rate=RATE)
    # Half a count is added to each of: 0 → 0 twice, 0 → 1 once.
    assert np.allclose(np.exp(times.moves), [[2.5 / 4, 1.5 / 4], [0.5, 0.5]])
    assert times.emissions.shape == (2 * 4 + 1, 10, 2), "codes up to 40 ms away, and the place beyond the ends"
    own = np.exp(times.emissions[4])
    assert np.allclose(own[[5, 6, 7], 0], np.array([2.5, 1.5, 0.5]) / 8) and np.allclose(own[7, 1], 1.5 / 6)
