"""How well codes predict phones without further training: each code is mapped to its most frequent phone [VQVAE §4.3].

The paper maps single codes and mentions maps of several codes. This module maps one, two and three codes. It also measures the information
that codes hold about phones, as a share of the information in the phones: the phone-normalised mutual information of HuBERT (Hsu et al.
2021, https://arxiv.org/abs/2106.07447, §4.3). Silence never counts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int64

from vqvae.data.phones import SILENCES, Phone, labels_at
from vqvae.errors import ConfigError, DataError
from vqvae.reports.charts import heat_map
from vqvae.seeding import mix

UNLABELLED = -1
"""The label of frames that never count: silence, or a time without a label."""
_SLACK = 0.1
_RANDOM_SEEDS = 5


class SpokenCodes(NamedTuple):
    """The codes of a recording, and its phones."""

    name: str
    """The name of the recording. It reveals recordings that are in both sets."""
    codes: Int64[np.ndarray, " frames"]
    phones: Sequence[Phone]
    """The phones, in seconds from the start of the codes."""


class LabelledCodes(NamedTuple):
    """Codes and phones of many recordings, aligned frame by frame."""

    codes: tuple[Int64[np.ndarray, " _"], ...]
    """One array per recording."""
    labels: tuple[Int64[np.ndarray, " _"], ...]
    """One array per recording, of the same length: indices into ``inventory``, or ``UNLABELLED``."""
    inventory: tuple[str, ...]
    """The names of the phones, in order."""
    codebook_size: int
    """K."""


class PhonemeProbe:
    """A map from codes to phones: the most frequent phone of each code, or n-gram of codes.

    A bigram is the previous code and the code itself; a trigram also has the next code. Positions beyond the ends of a recording count as
    a separate code. An unseen n-gram falls back to the next shorter one, and an unseen code to the most frequent phone. Of equally frequent
    phones, the first in the inventory wins.
    """

    def __init__(self, tables: "tuple[_Table, ...]", most_frequent: int, codebook_size: int) -> None:
        """Store the counts of ``fit``."""
        self.most_frequent, self.codebook_size = most_frequent, codebook_size
        self._tables = tables

    @classmethod
    def fit(
        cls,
        codes: Sequence[Int64[np.ndarray, " _"]],
        labels: Sequence[Int64[np.ndarray, " _"]],
        codebook_size: int,
        context: int = 1,
    ) -> "PhonemeProbe":
        """Count the phones of each code.

        Args:
            codes: one array per recording.
            labels: the index of each frame's phone, or ``UNLABELLED``.
            codebook_size: K.
            context: length of the longest n-gram, from 1 to 3.

        Raises:
            ConfigError: if context is out of range.
            DataError: if codes are outside the codebook, labels have another length, or no frame has a phone.
        """
        if context not in (1, 2, 3):
            raise ConfigError(f"context is {context}; it must be 1, 2 or 3 codes.")
        known, spoken = _known(codes, labels, codebook_size)
        tables = tuple(_table(_grams(codes, codebook_size, length)[known], spoken) for length in range(1, context + 1))
        return cls(tables, int(np.bincount(spoken).argmax()), codebook_size)

    def predict(self, codes: Sequence[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, " frames"]:
        """The phone of every frame of all recordings, end to end."""
        phones = np.full(sum(map(len, codes)), self.most_frequent)
        # From the shortest n-gram to the longest: a longer one overrules the shorter ones if it has been seen.
        for length, table in enumerate(self._tables, start=1):
            grams = _grams(codes, self.codebook_size, length)
            places = np.searchsorted(table.grams, grams).clip(max=len(table.grams) - 1)
            phones = np.where(table.grams[places] == grams, table.phones[places], phones)
        return phones

    def accuracy(self, codes: Sequence[Int64[np.ndarray, " _"]], labels: Sequence[Int64[np.ndarray, " _"]]) -> float:
        """The share of right predictions among the frames with a phone.

        Raises:
            DataError: see ``fit``.
        """
        known, spoken = _known(codes, labels, self.codebook_size)
        return float((self.predict(codes)[known] == spoken).mean())


def evaluate_phonemes(
    fit: Sequence[SpokenCodes],
    scored: Sequence[SpokenCodes],
    *,
    code_rate: float,
    codebook_size: int,
    label_source: str,
    seed: int = 0,
) -> dict[str, Any]:
    """Fit the maps on some recordings and score them on others.

    ``phoneme_accuracy``, ``phoneme_accuracy_bigram``, ``phoneme_accuracy_trigram``: the share of correct frames with 1, 2 and 3 codes.
    ``phoneme_majority``: the accuracy of the most frequent phone in ``fit``, whatever the codes.
    ``phoneme_accuracy_random``: the accuracy of meaningless codes with the same frequencies. The codes of each side are shuffled over all
    its frames before the map is fitted. The mean of 5 shuffles.
    ``phoneme_information``: I(code; phone) / H(phone) of the scored frames, from 0 to 1. It is too high if there are few frames per code.
    ``frames``: the number of scored frames. ``inventory``: the phones. ``label_source``: as given.

    Args:
        fit: the recordings for the maps.
        scored: other recordings, to score.
        code_rate: codes per second: the sample rate divided by the stride.
        codebook_size: K.
        label_source: the source of the phones, such as an aligner's name. A score means nothing without it.
        seed: seed of the shuffles.

    Raises:
        DataError: if a recording is on both sides or has no codes, an alignment does not fit its recording, codes are outside the
            codebook, or no frame has a phone.
    """
    both = {clip.name for clip in fit} & {clip.name for clip in scored}
    if both:
        raise DataError(
            f"{sorted(both)[:3]} are among {len(both)} recordings on both sides. Score recordings that the maps were not fitted on."
        )
    inventory = phone_inventory([*fit, *scored])
    ours, theirs = (label_codes(clips, code_rate, codebook_size, inventory) for clips in (fit, scored))
    probes = [PhonemeProbe.fit(ours.codes, ours.labels, codebook_size, context) for context in (1, 2, 3)]
    single, double, triple = (probe.accuracy(theirs.codes, theirs.labels) for probe in probes)
    _, spoken = _known(theirs.codes, theirs.labels, codebook_size)
    return {
        "phoneme_accuracy": single,
        "phoneme_majority": float((spoken == probes[0].most_frequent).mean()),
        "phoneme_accuracy_bigram": double,
        "phoneme_accuracy_trigram": triple,
        "phoneme_accuracy_random": float(np.mean([_random_accuracy(ours, theirs, seed, i) for i in range(_RANDOM_SEEDS)])),
        "phoneme_information": information_share(code_phone_counts(theirs)),
        "frames": len(spoken),
        "inventory": list(inventory),
        "label_source": label_source,
    }


def phone_inventory(clips: Sequence[SpokenCodes]) -> tuple[str, ...]:
    """The labels of all recordings without silence, sorted."""
    return tuple(sorted({phone.label for clip in clips for phone in clip.phones if not is_silence(phone.label)}))


def is_silence(label: str) -> bool:
    """Whether a label means silence or noise in the output of an aligner."""
    return label.upper() in SILENCES


def frame_labels(phones: Sequence[Phone], frames: int, frame_rate: float) -> list[str | None]:
    """The label at the centre of each frame. Silence is a label, too. None if there is no label at that time.

    Args:
        phones: the phones, in seconds.
        frames: number of frames.
        frame_rate: frames per second.
    """
    return labels_at(phones, ((np.arange(frames) + 0.5) / frame_rate).tolist())


def label_codes(clips: Sequence[SpokenCodes], code_rate: float, codebook_size: int, inventory: tuple[str, ...]) -> LabelledCodes:
    """Align codes and phones.

    Raises:
        DataError: if a recording has no codes, or an alignment continues after the last code.
    """
    places = {label: place for place, label in enumerate(inventory)}
    labels = []
    for clip in clips:
        frames, end = len(clip.codes), max((phone.end for phone in clip.phones), default=0.0)
        if not frames:
            raise DataError(f"{clip.name} has no codes: it is shorter than a frame. Remove it.")
        if end > (frames + 1) / code_rate + _SLACK:
            raise DataError(
                f"The phones of {clip.name} end at {end:.2f} s, but its {frames} codes end at {frames / code_rate:.2f} s, "
                f"at {code_rate:g} codes per second. The alignment belongs to another recording, or the code rate is wrong."
            )
        found = [UNLABELLED if label is None else places.get(label, UNLABELLED) for label in frame_labels(clip.phones, frames, code_rate)]
        labels.append(np.array(found, np.int64))
    return LabelledCodes(tuple(clip.codes for clip in clips), tuple(labels), inventory, codebook_size)


def code_phone_counts(labelled: LabelledCodes) -> Int64[np.ndarray, "codebook_size phones"]:
    """How often each code occurs with each phone.

    Raises:
        DataError: if codes are outside the codebook, or no frame has a phone.
    """
    size, phones = labelled.codebook_size, len(labelled.inventory)
    known, spoken = _known(labelled.codes, labelled.labels, size)
    return np.bincount(np.concatenate(labelled.codes)[known] * phones + spoken, minlength=size * phones).reshape(size, phones)


def information_share(counts: Int64[np.ndarray, "codes phones"]) -> float:
    """I(code; phone) / H(phone) of a table of counts; NaN if there is only one phone."""
    joint = counts / counts.sum()
    codes, phones = _entropy(joint.sum(1)), _entropy(joint.sum(0))
    return float((codes + phones - _entropy(joint)) / phones) if phones else float("nan")


def phoneme_chart(labelled: LabelledCodes) -> str:
    """P(phone | code) of the codes that occur, ordered by their most likely phone, as SVG. A dark diagonal is good.

    Raises:
        DataError: see ``code_phone_counts``.
    """
    counts = code_phone_counts(labelled)
    counts = counts[counts.sum(1) > 0]
    share = counts / counts.sum(1, keepdims=True)
    likely = share.argmax(1)
    share = share[np.lexsort((-share.max(1), likely))]
    title = f"P(phone | code) of {len(share)} codes of {labelled.codebook_size}"
    return heat_map(title, share.T, labelled.inventory, "codes, ordered by their most likely phone")


class _Table(NamedTuple):
    """The most frequent phone of each n-gram that was seen, sorted by the number of the n-gram."""

    grams: Int64[np.ndarray, " seen"]
    phones: Int64[np.ndarray, " seen"]


def _table(grams: Int64[np.ndarray, " frames"], phones: Int64[np.ndarray, " frames"]) -> _Table:
    seen, places = np.unique(grams, return_inverse=True)
    size = int(phones.max()) + 1
    pairs, counts = np.unique(places * size + phones, return_counts=True)
    # Sorted by n-gram, then by falling count: the first entry of each n-gram is its phone. The sort is stable, so ties keep their order.
    order = np.lexsort((-counts, pairs // size))
    _, first = np.unique((pairs // size)[order], return_index=True)
    return _Table(seen, pairs[order][first] % size)


def _grams(codes: Sequence[np.ndarray], codebook_size: int, length: int) -> Int64[np.ndarray, " frames"]:
    """The number of the n-gram at each frame, all recordings in a row. Positions beyond the ends have the code ``codebook_size``."""
    numbers = []
    for clip in codes:
        padded = np.pad(clip, 1, constant_values=codebook_size)
        before, own, after = padded[:-2], padded[1:-1], padded[2:]
        parts = ((own,), (before, own), (before, own, after))[length - 1]
        number = np.zeros(len(clip), np.int64)
        for part in parts:
            number = number * (codebook_size + 1) + part
        numbers.append(number)
    return np.concatenate(numbers)


def _known(
    codes: Sequence[np.ndarray], labels: Sequence[np.ndarray], codebook_size: int
) -> tuple[Bool[np.ndarray, " frames"], Int64[np.ndarray, " known"]]:
    """The frames with a phone, and these phones."""
    if [len(clip) for clip in codes] != [len(clip) for clip in labels]:
        raise DataError(f"{len(codes)} recordings have codes and {len(labels)} have labels; expected the same number, with equal lengths.")
    every = np.concatenate([*codes, np.zeros(0, np.int64)])
    if len(every) and not 0 <= every.min() <= every.max() < codebook_size:
        raise DataError(f"Codes lie between {every.min()} and {every.max()}; this codebook has 0 to {codebook_size - 1}.")
    spoken = np.concatenate([*labels, np.zeros(0, np.int64)])
    known = spoken != UNLABELLED
    if not known.any():
        raise DataError(f"None of {len(spoken)} frames in {len(codes)} recordings has a phone: all are silent or have no label.")
    return known, spoken[known]


def _random_accuracy(fit: LabelledCodes, scored: LabelledCodes, seed: int, number: int) -> float:
    random = np.random.Generator(np.random.PCG64(mix(seed, "random codes", number)))

    def shuffled(codes: Sequence[np.ndarray]) -> list[np.ndarray]:
        ends = np.cumsum([len(clip) for clip in codes])
        return np.split(random.permutation(np.concatenate(codes)), ends[:-1])

    ours, theirs = shuffled(fit.codes), shuffled(scored.codes)
    return PhonemeProbe.fit(ours, fit.labels, fit.codebook_size).accuracy(theirs, scored.labels)


def _entropy(share: Float[np.ndarray, "*_"]) -> float:
    """In nats."""
    some = share[share > 0]
    return float(-(some * np.log(some)).sum())
