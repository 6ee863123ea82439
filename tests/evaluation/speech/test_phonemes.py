"""Maps from codes to phones on codes whose meaning is known, and beside counts by hand."""

from collections import Counter
from xml.etree import ElementTree

import numpy as np
import pytest
from scipy.stats import entropy

from vqvae.data.phones import Phone
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.speech.phonemes import (
    UNLABELLED,
    PhonemeProbe,
    SpokenCodes,
    code_phone_counts,
    evaluate_phonemes,
    frame_labels,
    information_share,
    label_codes,
    phone_inventory,
    phoneme_chart,
)

RATE = 25.0


def array(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def clips(name: str, count: int, noise: float, seed: int, size: int = 8) -> list[SpokenCodes]:
    """Phones of four frames, AA, B or C, with a silence; codes 0 and 1 are AA, 2 and 3 B, 4 and 5 C, 6 silence."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        spoken = random.choice(4, 30, p=(0.5, 0.2, 0.2, 0.1))
        phones = [Phone(4 * i / RATE, 4 * (i + 1) / RATE, ("AA", "B", "C", "sil")[phone]) for i, phone in enumerate(spoken)]
        frames = spoken.repeat(4)
        codes = np.where(frames == 3, 6, 2 * frames + random.integers(0, 2, len(frames)))
        codes = np.where(random.random(len(codes)) < noise, random.integers(0, size, len(codes)), codes)
        found.append(SpokenCodes(f"{name}-{number}", codes, phones))
    return found


def test_a_code_stands_for_its_most_frequent_phone() -> None:
    codes, labels = [array(0, 0, 0, 1, 1, 2, 5)], [array(2, 2, 1, 0, 0, 2, UNLABELLED)]
    probe = PhonemeProbe.fit(codes, labels, 6)
    # 5 was seen in silence only, and 4 never: the most frequent phone stands for both.
    assert probe.predict([array(0, 1), array(2, 5, 4)]).tolist() == [2, 0, 2, 2, 2]
    assert probe.accuracy(codes, labels) == pytest.approx(5 / 6)


def test_of_equally_frequent_phones_it_is_the_first() -> None:
    assert PhonemeProbe.fit([array(0, 0, 1, 1, 1)], [array(2, 1, 0, 2, 2)], 2).predict([array(0)]).tolist() == [1]


def test_unseen_n_grams_fall_back_one_by_one() -> None:
    # Code 1 is phone 0 after 0, phone 1 after 2, and phone 2 where a 3 comes after.
    codes, labels = [array(0, 1), array(0, 1), array(0, 1), array(2, 1), array(2, 1, 3)], [array(3, 0)] * 3 + [array(3, 1), array(3, 2, 3)]
    asked = [array(2, 1, 3), array(2, 1, 0), array(0, 1, 3), array(3, 1), array(4, 1)]
    own = [PhonemeProbe.fit(codes, labels, 5, context).predict(asked) for context in (1, 2, 3)]
    middle = np.cumsum([0, 3, 3, 3, 2]) + 1
    assert own[0][middle].tolist() == [0, 0, 0, 0, 0]
    assert own[1][middle].tolist() == [1, 1, 0, 0, 0]
    assert own[2][middle].tolist() == [2, 1, 0, 0, 0]


def test_the_ends_of_a_recording_are_context() -> None:
    codes, labels = [array(1, 1, 1)], [array(0, 1, 2)]
    assert PhonemeProbe.fit(codes, labels, 2, 2).predict([array(1, 1)]).tolist() == [0, 1]
    assert PhonemeProbe.fit(codes, labels, 2, 3).predict([array(1, 1), array(1, 1, 1, 1)]).tolist() == [0, 2, 0, 1, 1, 2]


def test_context_does_not_leap_from_one_recording_to_the_next() -> None:
    random = np.random.default_rng(0)
    codes = [random.integers(0, 4, length) for length in (1, 7, 3)]
    labels = [random.integers(0, 5, length) for length in (1, 7, 3)]
    counts: dict = {}
    for clip, spoken in zip(codes, labels, strict=True):
        for i in range(len(clip)):
            gram = (int(clip[i - 1]) if i else None, int(clip[i]), int(clip[i + 1]) if i + 1 < len(clip) else None)
            counts.setdefault(gram, Counter())[int(spoken[i])] += 1
    best = sum(count.most_common(1)[0][1] for count in counts.values())
    assert PhonemeProbe.fit(codes, labels, 4, 3).accuracy(codes, labels) == pytest.approx(best / 11)


def test_the_label_is_that_of_the_frames_centre() -> None:
    phones = [Phone(0.0, 0.05, "sil"), Phone(0.05, 0.1, "AA"), Phone(0.14, 0.2, "B")]
    assert frame_labels(phones, 5, RATE) == ["sil", "AA", "AA", "B", "B"][:1] + ["AA", None, "B", "B"]
    assert frame_labels(phones, 3, 10.0) == ["AA", "B", None]
    clip = SpokenCodes("one", array(0, 1, 2, 3, 0), phones)
    assert phone_inventory([clip]) == ("AA", "B")
    assert label_codes([clip], RATE, 4, ("AA", "B")).labels[0].tolist() == [UNLABELLED, 0, UNLABELLED, 1, 1]


def test_meaningful_codes_score_above_random_ones() -> None:
    score = {}
    for noise in (0.0, 0.3, 1.0):
        fit, scored = clips("fit", 40, noise, 0), clips("scored", 10, noise, 1)
        score[noise] = evaluate_phonemes(fit, scored, code_rate=RATE, codebook_size=8, label_source="made on the spot")
    spoken = [phone.label for clip in clips("scored", 10, 0, 1) for phone in clip.phones if phone.label != "sil"]
    majority = spoken.count("AA") / len(spoken)
    for found in score.values():
        assert found["phoneme_majority"] == pytest.approx(majority)
        assert found["frames"] == 4 * len(spoken)
        assert (found["inventory"], found["label_source"]) == (["AA", "B", "C"], "made on the spot")
        # Random codes can do no better than the majority, but for luck.
        assert found["phoneme_accuracy_random"] == pytest.approx(majority, abs=0.01)
    clean, noisy, random = (score[noise] for noise in (0.0, 0.3, 1.0))
    assert clean["phoneme_accuracy"] == clean["phoneme_accuracy_trigram"] == 1.0
    assert clean["phoneme_information"] == pytest.approx(1)
    # Of 30 % random codes, half are those of AA, for instance, by chance: 0.7 and a little. Context mends some.
    assert 0.75 < noisy["phoneme_accuracy"] < noisy["phoneme_accuracy_bigram"] < noisy["phoneme_accuracy_trigram"] < 1
    assert 0.2 < noisy["phoneme_information"] < 0.8
    assert random["phoneme_accuracy"] == pytest.approx(majority, abs=0.02)
    assert random["phoneme_information"] < 0.02


def test_the_majority_is_that_of_the_fit() -> None:
    fit = [SpokenCodes("fit", array(0, 0, 1), [Phone(0, 0.08, "B"), Phone(0.08, 0.12, "AA")])]
    scored = [SpokenCodes("scored", array(0, 1, 1, 1), [Phone(0, 0.04, "B"), Phone(0.04, 0.16, "AA")])]
    found = evaluate_phonemes(fit, scored, code_rate=RATE, codebook_size=2, label_source="hand")
    assert found["phoneme_majority"] == 0.25 and found["phoneme_accuracy"] == 1.0


def test_information_equals_scipys() -> None:
    counts = np.random.default_rng(0).integers(0, 9, (20, 5))
    joint = counts / counts.sum()
    apart = np.outer(joint.sum(1), joint.sum(0))
    assert information_share(counts) == pytest.approx(entropy(joint.ravel(), apart.ravel()) / entropy(joint.sum(0)))
    assert information_share(np.diag([3, 4, 5])) == pytest.approx(1)
    assert information_share(np.ones((4, 6), np.int64)) == pytest.approx(0, abs=1e-12)
    assert np.isnan(information_share(np.ones((4, 1), np.int64)))


def test_the_chart_is_a_diagonal_of_the_codes_that_occur() -> None:
    fit = clips("fit", 10, 0.2, 0, size=7)
    labelled = label_codes(fit, RATE, 9, phone_inventory(fit))
    counts = code_phone_counts(labelled)
    assert counts.shape == (9, 3) and counts.sum() == sum((found != UNLABELLED).sum() for found in labelled.labels)
    root = ElementTree.fromstring(phoneme_chart(labelled))
    words = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words[0] == "P(phone | code) of 7 codes of 9" and words[1:4] == ["AA", "B", "C"]
    columns: dict[float, list[tuple[float, float]]] = {}
    for cell in (one.attrib for one in root.iter("{http://www.w3.org/2000/svg}rect") if "fill-opacity" in one.attrib):
        columns.setdefault(float(cell["x"]), []).append((float(cell["fill-opacity"]), float(cell["y"])))
    assert len(columns) == 7 and all(sum(share for share, _ in cells) == pytest.approx(1, abs=0.02) for cells in columns.values())
    # From left to right the darkest cell of each code goes down, and within a phone the surest code comes first.
    order = [(row, -share) for share, row in (max(columns[place]) for place in sorted(columns))]
    assert order == sorted(order) and len({row for row, _ in order}) == 3


def test_what_does_not_fit_is_an_error() -> None:
    fit, scored = clips("fit", 2, 0.0, 0), clips("scored", 2, 0.0, 1)
    settings = {"code_rate": RATE, "codebook_size": 8, "label_source": "hand"}
    with pytest.raises(DataError, match="fit-1.*recordings on both sides"):
        evaluate_phonemes(fit, [*scored, fit[1]], **settings)
    with pytest.raises(DataError, match=r"end at 4.80 s, but its 120 codes end at 2.40 s, at 50 codes per second"):
        evaluate_phonemes(fit, scored, **{**settings, "code_rate": 50.0})
    with pytest.raises(DataError, match="short has no codes"):
        evaluate_phonemes(fit, [SpokenCodes("short", array(), [])], **settings)
    with pytest.raises(DataError, match="None of 3 frames in 1 recordings has a phone"):
        evaluate_phonemes(fit, [SpokenCodes("quiet", array(1, 2, 3), [Phone(0, 0.1, "SIL")])], **settings)
    with pytest.raises(DataError, match="this codebook has 0 to 3"):
        evaluate_phonemes(fit, scored, **{**settings, "codebook_size": 4})
    with pytest.raises(DataError, match="with equal lengths"):
        PhonemeProbe.fit([array(1, 2)], [array(1)], 4)
    with pytest.raises(ConfigError, match="context is 4"):
        PhonemeProbe.fit([array(1)], [array(1)], 4, 4)
