"""Phones of a recording, predicted from its codes. Nobody knows the phones of a file that a client sends."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from vqvae.codes import Codes
from vqvae.data.audio import AudioDataset
from vqvae.data.base import Dataset, Splits
from vqvae.evaluation.speech.phone_times import PhoneTimes, phones_of
from vqvae.evaluation.speech.phonemes import UNLABELLED, frame_labels
from vqvae.pipeline import Pipeline
from vqvae.runs.encoding import read_codes

SCORED = 60
"""Held-out pieces of recordings that the prediction is scored on, at most."""


class CodePhones(NamedTuple):
    """What predicts phones, from the codes of a run's training data and their phones."""

    times: PhoneTimes
    names: tuple[str, ...]
    rate: float
    """Codes per second."""
    right: float | None
    """The share of codes of held-out recordings whose phone is right, silence included. None if these have no phones."""

    @classmethod
    def fit(cls, run: Path, model: Pipeline, splits: Splits) -> "CodePhones":
        """Count in the stored codes of a run.

        Raises:
            DataError: the codes are missing, or have no phones.
        """
        level, sides = model.layout[0], read_codes(run)
        assert isinstance(splits.train, AudioDataset) and isinstance(splits.held_out, AudioDataset), "has_phones checks"
        rate = splits.train.rate / level.stride[0]
        names = tuple(sorted({phone.label for of in splits.train.phones.values() for phone in of}))
        codes, labels = _labelled(splits.train, sides.train, names, rate, len(sides.train))
        times, right = PhoneTimes.fit(codes, labels, size=level.codebook_size, phones=len(names), rate=rate), None
        if splits.held_out.phones:
            codes, labels = _labelled(splits.held_out, sides.held_out, names, rate, SCORED)
            known = np.concatenate(labels) != UNLABELLED
            hits = np.concatenate([times.predict(piece) == of for piece, of in zip(codes, labels, strict=True)])
            right = float(hits[known].mean()) if known.any() else None
        return cls(times, names, rate, right)

    def of(self, codes: Codes) -> list[dict[str, Any]]:
        """The phones of one example along time, in seconds, without silence."""
        path = self.times.predict(codes.tensor[0, 0].cpu().numpy())
        return [{"start": one.start, "end": one.end, "phone": one.label} for one in phones_of(path, self.names, self.rate)]


def has_phones(model: Pipeline, splits: Splits | None) -> bool:
    """Whether the data has phones, and the model has one code at a time."""
    if splits is None or not isinstance(splits.train, AudioDataset) or not isinstance(splits.held_out, AudioDataset):
        return False
    return len(model.layout) == 1 and model.layout[0].num_codebooks == 1 and bool(splits.train.phones)


def _labelled(audio: AudioDataset, codes: Dataset, names: tuple[str, ...], rate: float, count: int) -> tuple[list[Any], list[Any]]:
    """The codes of pieces of recordings, spread over all, and the number of the phone at each code."""
    apart, numbers = audio.apart(), {name: number for number, name in enumerate(names)}
    assert len(apart) == len(codes), "read_codes checks that the codes are those of the data"
    chosen = np.unique(np.linspace(0, len(codes) - 1, min(count, len(codes))).astype(np.int64))
    pieces, labels = [*codes.batch(chosen).x[:, 0].numpy()], []
    for index, piece in zip(chosen.tolist(), pieces, strict=True):
        recording, first = apart.place(index)
        before = round(first / audio.rate * rate)
        found = frame_labels(audio.phones.get(audio.recordings[recording].name, ()), before + len(piece), rate)[before:]
        labels.append(np.array([UNLABELLED if label is None else numbers.get(label, UNLABELLED) for label in found], np.int64))
    return pieces, labels
