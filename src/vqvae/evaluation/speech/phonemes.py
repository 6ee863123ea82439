"""How much codes tell of phones, without any training: each code stands for the phone that it most often goes with [VQVAE §4.3].

The paper maps single codes. Here are maps of two and three codes beside it, which it names as possible, and the share of the phones'
information that the codes hold, as HuBERT has it (Hsu et al. 2021, https://arxiv.org/abs/2106.07447, §4.3). Silence is left out of the
maps, of the scores and of the majority.
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
"""The number of a frame that counts nowhere: silence, or a time without a label."""
_SLACK = 0.1
_RANDOM_SEEDS = 5


class SpokenCodes(NamedTuple):
    """The codes of a recording, and what is spoken there."""

    name: str
    """The recording's; it tells whether two sets overlap."""
    codes: Int64[np.ndarray, " frames"]
    phones: Sequence[Phone]
    """In seconds from where the codes begin."""


class LabelledCodes(NamedTuple):
    """Codes and phones of many recordings, frame beside frame."""

    codes: tuple[Int64[np.ndarray, " _"], ...]
    """One array a recording."""
    labels: tuple[Int64[np.ndarray, " _"], ...]
    """Of the same lengths: places in ``inventory``, or ``UNLABELLED``."""
    inventory: tuple[str, ...]
    """The names of the phones, in order."""
    codebook_size: int
    """K."""


class PhonemeProbe:
    """A map from codes to phones: the phone that each code, or n-gram of codes, goes with most often.

    An n-gram of 2 is the code before and the code itself; one of 3 has the code after as well. What lies beyond the ends of a recording
    counts as a code of its own. An n-gram that was never seen with a phone falls back to the next shorter one, and an unseen code to the
    most frequent phone. Of equally frequent phones it is the first in the inventory.
    """

    def __init__(self, tables: "tuple[_Table, ...]", most_frequent: int, codebook_size: int) -> None:
        """Take what ``fit`` has counted."""
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
        """Count codes beside labels.

        Args:
            codes: one array a recording.
            labels: the number of each frame's phone, or ``UNLABELLED``.
            codebook_size: K.
            context: codes of the longest n-gram, from 1 to 3.

        Raises:
            ConfigError: another context.
            DataError: codes outside the codebook, labels of another length, or not one frame with a phone.
        """
        if context not in (1, 2, 3):
            raise ConfigError(f"context is {context}; a phone is told from 1, 2 or 3 codes.")
        known, spoken = _known(codes, labels, codebook_size)
        tables = tuple(_table(_grams(codes, codebook_size, length)[known], spoken) for length in range(1, context + 1))
        return cls(tables, int(np.bincount(spoken).argmax()), codebook_size)

    def predict(self, codes: Sequence[Int64[np.ndarray, " _"]]) -> Int64[np.ndarray, " frames"]:
        """The phone of every frame of all recordings, one after the other."""
        phones = np.full(sum(map(len, codes)), self.most_frequent)
        # From the shortest n-gram to the longest: each overrules the one before where it has been seen.
        for length, table in enumerate(self._tables, start=1):
            grams = _grams(codes, self.codebook_size, length)
            places = np.searchsorted(table.grams, grams).clip(max=len(table.grams) - 1)
            phones = np.where(table.grams[places] == grams, table.phones[places], phones)
        return phones

    def accuracy(self, codes: Sequence[Int64[np.ndarray, " _"]], labels: Sequence[Int64[np.ndarray, " _"]]) -> float:
        """The share of frames with a phone for which the map gives that phone.

        Raises:
            DataError: as ``fit``.
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

    ``phoneme_accuracy``, ``phoneme_accuracy_bigram``, ``phoneme_accuracy_trigram``: the share of right frames, from 1, 2 and 3 codes.
    ``phoneme_majority``: that of the phone which is most frequent in ``fit``, whatever the codes.
    ``phoneme_accuracy_random``: that of codes without any meaning but as frequent as these: the codes of each side are shuffled over all
    of its frames, and a map is fitted on them; the mean of 5 shuffles.
    ``phoneme_information``: I(code; phone) / H(phone) of the scored frames, from 0 to 1. Few frames for many codes make it too high.
    ``frames``: how many were scored. ``inventory``: the phones. ``label_source``: as given.

    Args:
        fit: what the maps are counted on.
        scored: other recordings.
        code_rate: codes a second: samples a second over the stride.
        codebook_size: K.
        label_source: where the phones come from, such as an aligner's name; a score means nothing without it.
        seed: of the shuffles.

    Raises:
        DataError: a recording on both sides, one without codes, an alignment that does not fit its recording, codes outside the
            codebook, or not one frame with a phone.
    """
    both = {clip.name for clip in fit} & {clip.name for clip in scored}
    if both:
        raise DataError(f"{sorted(both)[:3]} are among the {len(both)} recordings to fit on that are also scored. Score others.")
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
    """The labels of all recordings but silence, sorted."""
    return tuple(sorted({phone.label for clip in clips for phone in clip.phones if not is_silence(phone.label)}))


def is_silence(label: str) -> bool:
    """Whether a label names no phone, by the names that aligners give to silence and noise."""
    return label.upper() in SILENCES


def frame_labels(phones: Sequence[Phone], frames: int, frame_rate: float) -> list[str | None]:
    """The label at the centre of each frame, silence included; None where there is none.

    Args:
        phones: in seconds.
        frames: how many there are.
        frame_rate: frames a second.
    """
    return labels_at(phones, ((np.arange(frames) + 0.5) / frame_rate).tolist())


def label_codes(clips: Sequence[SpokenCodes], code_rate: float, codebook_size: int, inventory: tuple[str, ...]) -> LabelledCodes:
    """Put codes and phones side by side.

    Raises:
        DataError: a recording without codes, or an alignment that goes on after the last code.
    """
    places = {label: place for place, label in enumerate(inventory)}
    labels = []
    for clip in clips:
        frames, end = len(clip.codes), max((phone.end for phone in clip.phones), default=0.0)
        if not frames:
            raise DataError(f"{clip.name} has no codes: it is shorter than a frame. Leave it out.")
        if end > (frames + 1) / code_rate + _SLACK:
            raise DataError(
                f"The phones of {clip.name} end at {end:.2f} s and its {frames} codes at {frames / code_rate:.2f} s, "
                f"at {code_rate:g} codes a second. The alignment is of another recording, or the code rate is wrong."
            )
        found = [UNLABELLED if label is None else places.get(label, UNLABELLED) for label in frame_labels(clip.phones, frames, code_rate)]
        labels.append(np.array(found, np.int64))
    return LabelledCodes(tuple(clip.codes for clip in clips), tuple(labels), inventory, codebook_size)


def code_phone_counts(labelled: LabelledCodes) -> Int64[np.ndarray, "codebook_size phones"]:
    """How often each code stands beside each phone.

    Raises:
        DataError: codes outside the codebook, or not one frame with a phone.
    """
    size, phones = labelled.codebook_size, len(labelled.inventory)
    known, spoken = _known(labelled.codes, labelled.labels, size)
    return np.bincount(np.concatenate(labelled.codes)[known] * phones + spoken, minlength=size * phones).reshape(size, phones)


def information_share(counts: Int64[np.ndarray, "codes phones"]) -> float:
    """I(code; phone) / H(phone) of a table of counts; NaN where there is only one phone."""
    joint = counts / counts.sum()
    codes, phones = _entropy(joint.sum(1)), _entropy(joint.sum(0))
    return float((codes + phones - _entropy(joint)) / phones) if phones else float("nan")


def phoneme_chart(labelled: LabelledCodes) -> str:
    """P(phone | code) of the codes that occur, ordered by their most likely phone, as SVG: dark on a diagonal is what is hoped for.

    Raises:
        DataError: as ``code_phone_counts``.
    """
    counts = code_phone_counts(labelled)
    counts = counts[counts.sum(1) > 0]
    share = counts / counts.sum(1, keepdims=True)
    likely = share.argmax(1)
    share = share[np.lexsort((-share.max(1), likely))]
    title = f"P(phone | code) of {len(share)} codes of {labelled.codebook_size}"
    return heat_map(title, share.T, labelled.inventory, "codes, ordered by their most likely phone")


class _Table(NamedTuple):
    """The most frequent phone of each n-gram that was seen, in the order of the n-grams' numbers."""

    grams: Int64[np.ndarray, " seen"]
    phones: Int64[np.ndarray, " seen"]


def _table(grams: Int64[np.ndarray, " frames"], phones: Int64[np.ndarray, " frames"]) -> _Table:
    seen, places = np.unique(grams, return_inverse=True)
    size = int(phones.max()) + 1
    pairs, counts = np.unique(places * size + phones, return_counts=True)
    # Sorted by n-gram, then by falling count: the first of each n-gram is its phone. The sort is stable, so ties keep the phones' order.
    order = np.lexsort((-counts, pairs // size))
    _, first = np.unique((pairs // size)[order], return_index=True)
    return _Table(seen, pairs[order][first] % size)


def _grams(codes: Sequence[np.ndarray], codebook_size: int, length: int) -> Int64[np.ndarray, " frames"]:
    """The number of the n-gram at each frame of all recordings. ``codebook_size`` stands for what is beyond the ends."""
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
    """Where there is a phone, and which."""
    if [len(clip) for clip in codes] != [len(clip) for clip in labels]:
        raise DataError(f"{len(codes)} recordings of codes and {len(labels)} of labels came; expected as many, each of the same length.")
    every = np.concatenate([*codes, np.zeros(0, np.int64)])
    if len(every) and not 0 <= every.min() <= every.max() < codebook_size:
        raise DataError(f"Codes lie between {every.min()} and {every.max()}; this codebook has 0 to {codebook_size - 1}.")
    spoken = np.concatenate([*labels, np.zeros(0, np.int64)])
    known = spoken != UNLABELLED
    if not known.any():
        raise DataError(f"Not one of {len(spoken)} frames in {len(codes)} recordings has a phone: all is silence or has no label.")
    return known, spoken[known]


def _random_accuracy(fit: LabelledCodes, scored: LabelledCodes, seed: int, number: int) -> float:
    random = np.random.Generator(np.random.PCG64(mix(seed, "random codes", number)))
    ours, theirs = (_shuffled(side.codes, random) for side in (fit, scored))
    return PhonemeProbe.fit(ours, fit.labels, fit.codebook_size).accuracy(theirs, scored.labels)


def _shuffled(codes: Sequence[np.ndarray], random: np.random.Generator) -> list[np.ndarray]:
    ends = np.cumsum([len(clip) for clip in codes])
    return np.split(random.permutation(np.concatenate(codes)), ends[:-1])


def _entropy(share: Float[np.ndarray, "*_"]) -> float:
    """In nats."""
    some = share[share > 0]
    return float(-(some * np.log(some)).sum())
