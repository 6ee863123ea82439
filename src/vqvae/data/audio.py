"""Folders of recordings as data sets, with their speakers."""

import dataclasses
import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int, Int16

from vqvae.config import INCIDENTAL, check_at_least
from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.files import find_files, report_bad
from vqvae.data.phones import Phone
from vqvae.data.split import split_of_any_size
from vqvae.disk import atomic_folder, exists, locked
from vqvae.errors import ConfigError, DataError
from vqvae.media.sounds import SUFFIXES, audio_blocks, to_float32, to_int16
from vqvae.signals import sound

_log = logging.getLogger(__name__)

_VERSION = 1  # Of how files become samples: a change makes others, which need another place in the cache.


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioFolderConfig:
    """Every WAV, FLAC, OGG and MP3 file in a folder and its sub-folders, as one channel at one rate.

    Who speaks is found by looking: LibriSpeech and VCTK (0.80 and 0.92, whose first microphone is taken) are known by their paths. Any
    other folder has a sub-folder for each speaker, or files alone and no speakers. Held out are the ``held_out_speakers`` where there
    are some; else 5 % of the recordings, at least one, by a hash of the relative path. Hidden files and folders are ignored.
    """

    kept_in: ClassVar[tuple[str, str]] = ("cache", "*/recordings.json")
    """The field that says where files of ours are kept, and which are there then."""

    path: str = dataclasses.field(metadata=INCIDENTAL)
    """The folder."""
    rate: int = 16_000
    """Samples a second; files of another rate are resampled."""
    chunk: int = 20_480
    """Samples of an example."""
    crop: int | None = None
    """Samples of a training example; None for ``chunk``, as any other. Training wants many steps; codes and scores, long examples."""
    hop: int = 1_280
    """Samples from the start of a training example to the start of the next; held-out examples do not overlap."""
    held_out_speakers: tuple[str, ...] = ()
    """Speakers of whom nothing is trained on; the others are then not held out at all."""
    cache: str | None = dataclasses.field(default=None, metadata=INCIDENTAL)
    """The folder that keeps what was decoded; ~/.cache/vqvae/audio where it is left out."""
    skip_bad: bool = dataclasses.field(default=False, metadata=INCIDENTAL)
    """List files that cannot be decoded and go on without them, instead of stopping."""

    def build(self) -> Splits:
        """Find the files, and decode them or take them from the cache."""
        return _build(self)


class Recording(NamedTuple):
    """One recording of a data set."""

    name: str
    """The file's path relative to the folder of the data set."""
    speaker: int
    """A number into ``label_names``; 0 where the data set has no speakers."""
    samples: int
    """How many there are."""


class AudioDataset(Dataset):
    """Recordings of any length, end to end in one array; an example is a chunk of one of them.

    Chunks begin at every multiple of ``hop`` samples from which a whole one is left. A recording shorter than a chunk is one example,
    with silence at its end, which the mask leaves out. A batch is ``x`` float32 (batch, 1, chunk) in [-1, 1), ``condition.label`` int64
    (batch,), the speaker, where there are speakers, and ``mask`` (batch, chunk), or None where no example is filled up.
    """

    def __init__(
        self,
        samples: Int16[np.ndarray, " samples"],
        starts: Int[np.ndarray, " recordings"],
        recordings: Sequence[Recording],
        *,
        name: str,
        rate: int,
        chunk: int,
        hop: int,
        apart: int | None = None,
        label_names: tuple[str, ...] = (),
        phones: Mapping[str, tuple[Phone, ...]] | None = None,
    ) -> None:
        """Keep a reference to the array (in memory, or a memory-mapped file).

        Args:
            starts: where in it each recording begins.
            apart: samples of the chunks that ``apart`` makes; as many as of these where it is left out.
        """
        self.name, self.label_names, self.signal = name, label_names, sound(rate)
        self.recordings = tuple(recordings)
        """The recordings, in the order of the examples."""
        self.rate = rate
        """Samples a second."""
        self.phones: dict[str, tuple[Phone, ...]] = dict(phones or {})
        """What is spoken when, by the name of the recording, where that is known."""
        # A view without numpy's memmap class, which slices would carry on.
        self._samples, self._starts = np.asarray(samples), np.asarray(starts, np.int64)
        self._lengths = np.array([recording.samples for recording in self.recordings], np.int64)
        self._speakers = np.array([recording.speaker for recording in self.recordings], np.int64)
        self._chunk, self._hop, self._apart = chunk, hop, apart or chunk
        # Of the examples: how many there are up to the end of each recording.
        self._ends = np.cumsum(np.maximum(self._lengths - chunk, 0) // hop + 1)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def batch(self, indices: np.ndarray) -> Batch:
        rows = np.searchsorted(self._ends, indices, side="right")
        first = np.where(rows > 0, self._ends[rows - 1], 0)
        starts = self._starts[rows] + (indices - first) * self._hop
        lengths = np.minimum(self._lengths[rows], self._chunk)
        chunks = np.zeros((len(indices), self._chunk), np.int16)
        for chunk, start, length in zip(chunks, starts.tolist(), lengths.tolist(), strict=True):
            chunk[:length] = self._samples[start : start + length]
        x = torch.from_numpy(chunks).to(torch.float32).div_(32_768)[:, None]
        label = torch.from_numpy(self._speakers[rows]) if self.label_names else None
        mask = None if (lengths == self._chunk).all() else torch.from_numpy(np.arange(self._chunk) < lengths[:, None])
        return Batch(x, Condition(label=label), mask)

    def apart(self) -> "AudioDataset":
        """The same recordings in chunks that do not overlap, for what is to hear each moment once."""
        settings = {"rate": self.rate, "chunk": self._apart, "hop": self._apart, "label_names": self.label_names, "phones": self.phones}
        return AudioDataset(self._samples, self._starts, self.recordings, name=self.name, **settings)

    def named(self, label_names: tuple[str, ...]) -> "AudioDataset":
        """The same recordings, whose speakers have the numbers of these names, such as those that a model was trained with.

        Raises:
            ConfigError: somebody speaks here who is not among them.
        """
        here = [self.label_names[recording.speaker] for recording in self.recordings if self.label_names]
        unknown = sorted(set(here) - set(label_names))
        if unknown or (self.recordings and not here):
            raise ConfigError(
                f"Here speak {', '.join(unknown[:8]) or 'people without names'}; the model knows {', '.join(label_names[:8])}"
                f"{', ...' if len(label_names) > 8 else ''}. Give recordings by these, each speaker in a folder of that name."
            )
        recordings = [one._replace(speaker=label_names.index(name)) for one, name in zip(self.recordings, here, strict=True)]
        settings = {"rate": self.rate, "apart": self._apart, "label_names": label_names, "phones": self.phones}
        return AudioDataset(self._samples, self._starts, recordings, name=self.name, chunk=self._chunk, hop=self._hop, **settings)

    def clip(self, index: int) -> Float32[np.ndarray, " samples"]:
        """The whole of one recording, in [-1, 1)."""
        return to_float32(self._samples[self._starts[index] : self._starts[index] + self._lengths[index]])


def recordings_of(dataset: Dataset) -> AudioDataset:
    """A data set that is known to be recordings.

    Raises:
        DataError: it is something else.
    """
    match dataset:
        case AudioDataset():
            return dataset
    raise DataError(f"{dataset.name} is no set of recordings, but {dataset.signal.values()}, {dataset.signal.shape()}.")


class _Decoded(NamedTuple):
    """The good files' samples, end to end, with their names and lengths; and the bad files, with the reason."""

    samples: Int16[np.ndarray, " samples"]
    names: list[str]
    lengths: list[int]
    bad: dict[str, str]


def _build(config: AudioFolderConfig) -> Splits:
    root = user_path(config.path)
    check_at_least(1, config, "rate", "chunk", "hop", "crop")
    if not root.is_dir():
        raise DataError(f"There is no folder {root}. Give the path of a folder of recordings.")
    speakers = _speakers(root, find_files(root, SUFFIXES))
    if not speakers:
        raise DataError(f"{root} holds no audio files ({', '.join(SUFFIXES)}), nor do its sub-folders.")
    # Those that are held out come last: the first ones are a decoder's speakers.
    everybody = {who for who in speakers.values() if who is not None}
    label_names = tuple(sorted(everybody, key=lambda who: (who in config.held_out_speakers, who)))
    unknown = sorted(set(config.held_out_speakers) - set(label_names))
    if unknown:
        raise ConfigError(f"config.data.held_out_speakers has {unknown}; the speakers of {root} are {list(label_names)}.")
    digest = _digest(root, tuple(speakers), config.rate)
    decoded = _decode(config, root, tuple(speakers), digest)
    report_bad({str(root / file): reason for file, reason in decoded.bad.items()}, len(speakers), "audio", config.skip_bad)
    if config.held_out_speakers:
        held = np.array([speakers[name] in config.held_out_speakers for name in decoded.names], dtype=bool)
        rows = np.flatnonzero(~held), np.flatnonzero(held)
    else:
        rows = split_of_any_size(decoded.names, str(root))
    starts = np.cumsum([0, *decoded.lengths[:-1]])
    labels = [0 if (speaker := speakers[name]) is None else label_names.index(speaker) for name in decoded.names]
    # Left out where it is None: folders of runs from before there was a crop keep the name of their data.
    crop = [] if config.crop is None else [config.crop]
    content = json.dumps([digest, config.chunk, *crop, config.hop, config.held_out_speakers])
    name = f"audio-{hashlib.blake2b(content.encode(), digest_size=8).hexdigest()}"
    sides: list[Dataset] = []
    cuts = (config.crop or config.chunk, config.hop), (config.chunk, config.chunk)
    for side, of, (chunk, hop) in zip(Splits._fields, rows, cuts, strict=True):
        if not len(of):
            raise DataError(f"No recording in {root} is left for the {side} side. Hold out other speakers.")
        recordings = [Recording(decoded.names[row], labels[row], decoded.lengths[row]) for row in of]
        settings = {"rate": config.rate, "chunk": chunk, "hop": hop, "apart": config.chunk, "label_names": label_names}
        sides.append(AudioDataset(decoded.samples, starts[of], recordings, name=f"{name}-{side.replace('_', '-')}", **settings))
    return Splits(*sides)


def _speakers(root: Path, files: Sequence[str]) -> dict[str, str | None]:
    """The files that belong to the data set, each with its speaker, if it has speakers."""
    # The folder may be the whole of a corpus or a part: what tells is above it, too.
    full = {file: (root.resolve() / file).as_posix() for file in files}
    librispeech = {file: re.search(r"/(\d+)/(\d+)/\1-\2-\d+\.\w+$", path) for file, path in full.items()}
    if all(librispeech.values()):
        return {file: match[1] for file, match in librispeech.items() if match}
    for pattern in (r"/wav48_silence_trimmed/([^/]+)/[^/]+_mic1\.\w+$", r"/wav48/([^/]+)/[^/]+$"):
        vctk = {file: match[1] for file, path in full.items() if (match := re.search(pattern, path))}
        if vctk:
            return vctk
    loose = [file for file in files if "/" not in file]
    if loose and len(loose) < len(files):
        raise DataError(f"{root / loose[0]} lies in no sub-folder, so it has no speaker, but others do. Move it into one.")
    return {file: None if loose else file.partition("/")[0] for file in files}


def _digest(root: Path, files: Sequence[str], rate: int) -> str:
    facts = [(file, (status := (root / file).stat()).st_size, status.st_mtime_ns) for file in files]
    return hashlib.blake2b(json.dumps([facts, rate, _VERSION]).encode(), digest_size=8).hexdigest()


def _decode(config: AudioFolderConfig, root: Path, files: Sequence[str], digest: str) -> _Decoded:
    """Decode the files into one in the cache, if it is not there, and map it into memory: hours of speech need not fit."""
    folder = (user_cache() / "audio" if config.cache is None else user_path(config.cache)) / digest
    advice = f"{ADVICE[:-1]}, or give another one with --data.cache."

    if not exists(folder):
        with locked(folder, DataError, advice):
            if not folder.is_dir():
                _log.info("Decoding %d files in %s to %s.", len(files), root, folder)
                with atomic_folder(folder, DataError, advice) as partial:
                    _fill(partial, root, files, config.rate)
    kept = json.loads((folder / "recordings.json").read_text())
    if not kept["lengths"]:
        return _Decoded(np.empty(0, np.int16), [], [], kept["bad"])
    samples = np.memmap(folder / "samples.s16", "<i2", "r")
    return _Decoded(samples, list(kept["lengths"]), list(kept["lengths"].values()), kept["bad"])


def _fill(folder: Path, root: Path, files: Sequence[str], rate: int) -> None:
    """Write samples.s16, and recordings.json with the lengths of the good files and the reasons of the bad ones."""

    def decode(file: str) -> np.ndarray | str:
        try:
            return np.concatenate([to_int16(block) for block in audio_blocks(root / file, rate)])
        except DataError as error:
            return str(error)

    lengths: dict[str, int] = {}
    bad: dict[str, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool, (folder / "samples.s16").open("wb") as output:
        # A few at a time, so that what is decoded does not pile up in memory before it is written.
        for first in range(0, len(files), 64):
            group = files[first : first + 64]
            for file, result in zip(group, pool.map(decode, group), strict=True):
                if isinstance(result, str):
                    bad[file] = result
                else:
                    lengths[file] = len(result)
                    output.write(result.astype("<i2").tobytes())
    (folder / "recordings.json").write_text(json.dumps({"lengths": lengths, "bad": bad}))
