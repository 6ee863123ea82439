"""Folders of recordings as data sets, with their speakers."""

import dataclasses
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

from vqvae.building import check_memory
from vqvae.config import INCIDENTAL, check_at_least, settings
from vqvae.data.base import Batch, Condition, Dataset, Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.contents import Content, check_unchanged, content_name, read_contents
from vqvae.data.files import find_files, of_kind, report_bad
from vqvae.data.phones import Phone
from vqvae.data.sides import Sides, find_sides
from vqvae.data.split import split_of_any_size
from vqvae.disk import atomic_folder, exists, locked, read_text
from vqvae.errors import ConfigError, DataError
from vqvae.media.sounds import SUFFIXES, audio_blocks, to_float32, to_int16
from vqvae.progress import tracked
from vqvae.signals import sound
from vqvae.words import duration

_log = logging.getLogger(__name__)

_READER = 2
"""The libraries that read files. A later release may read files that an earlier one could not, so the cache depends on their versions."""
_LARGEST_RECORD = 2**28
"""Bytes of the lengths of all recordings: a few million of them."""
_BYTES_OF_SAMPLE = 7
"""A sample as read, as a float, and its mask."""
_PIECE_SECONDS = 10
"""The length of the held-out pieces of a single recording, in seconds."""
_VERSION = 2  # Of the conversion from files to samples. A change to it needs another place in the cache.


@settings
class AudioFolderConfig:
    """Every audio file in a folder and its sub-folders, or one long recording, as one channel at one rate.

    LibriSpeech and VCTK (0.80, and the first microphone of 0.92) are recognised by their paths. In any other folder, each sub-folder is a
    speaker; files without sub-folders have no speakers. ``train/``, ``test/``, ``val/`` and the like are sides, not speakers; see
    ``vqvae.data.sides``. The held-out side is the ``held_out_speakers`` or such a folder. Without either, it is 5 % of the recordings, at
    least one, chosen by a hash of the relative path. For a single recording, it is the last 5 %. Hidden files and folders are ignored.
    """

    kept_in: ClassVar[tuple[str, str]] = ("cache", "*/recordings.json")
    """The field with the cache folder, and a pattern that matches the files in it."""

    path: str = dataclasses.field(metadata=INCIDENTAL | {"value": "FOLDER|FILE"})
    """The folder, or one long recording."""
    rate: int = 16_000
    """Samples per second. Other files are resampled."""
    chunk: int = 20_480
    """Samples per example."""
    crop: int | None = None
    """Samples per training example; default: ``chunk``. Short examples train faster; codes and scores need long ones."""
    hop: int = 1_280
    """Samples from the start of a training example to the start of the next. Held-out examples do not overlap."""
    held_out_speakers: tuple[str, ...] = dataclasses.field(default=(), metadata={"value": "NAME ..."})
    """Speakers to hold out. If given, all recordings of the other speakers are training data."""
    cache: str | None = dataclasses.field(default=None, metadata=INCIDENTAL | {"value": "FOLDER"})
    """The folder for decoded samples; default: ~/.cache/vqvae/audio."""
    skip_bad: bool = dataclasses.field(default=False, metadata=INCIDENTAL)
    """Skip files that cannot be decoded, with a warning, instead of stopping."""

    def build(self) -> Splits:
        """Find the files, and decode them or load them from the cache."""
        return _build(self)


class Recording(NamedTuple):
    """One recording of a data set."""

    name: str
    """The file's path, relative to the folder of the data set."""
    speaker: int
    """An index into ``label_names``; 0 if the data set has no speakers."""
    samples: int
    """The length in samples."""


class AudioDataset(Dataset):
    """Recordings of any length, end to end in one array. An example is a chunk of a recording.

    Chunks are complete and start at every multiple of ``hop`` samples. A recording shorter than a chunk is one example, padded with
    silence that the mask excludes. A batch has ``x``, float32 (batch, 1, chunk) in [-1, 1); ``condition.label``, the speakers, int64
    (batch,), if there are any; and ``mask``, bool (batch, chunk), or None if no example is padded.
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
            starts: the first sample of each recording in the array.
            apart: length of the chunks that ``apart`` makes, in samples; default: ``chunk``.
        """
        self.name, self.label_names, self.signal = name, label_names, sound(rate)
        self.recordings = tuple(recordings)
        """The recordings, in the order of the examples."""
        self.rate = rate
        """Samples per second."""
        self.phones: dict[str, tuple[Phone, ...]] = dict(phones or {})
        """The phones of each aligned recording, by its name."""
        # A view without numpy's memmap class, which slices would inherit.
        self._samples, self._starts = np.asarray(samples), np.asarray(starts, np.int64)
        self._lengths = np.array([recording.samples for recording in self.recordings], np.int64)
        self._speakers = np.array([recording.speaker for recording in self.recordings], np.int64)
        check_memory(_BYTES_OF_SAMPLE * max(chunk, apart or 0), f"An example of {max(chunk, apart or 0):,} samples")
        self._chunk, self._hop, self._apart = chunk, hop, apart or chunk
        # Number of examples up to the end of each recording.
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

    def place(self, index: int) -> tuple[int, int]:
        """The recording of an example, counted from 0, and the first sample of the example in that recording."""
        row = int(np.searchsorted(self._ends, index, side="right"))
        return row, (index - (int(self._ends[row - 1]) if row else 0)) * self._hop

    def apart(self) -> "AudioDataset":
        """The same recordings in chunks that do not overlap."""
        settings = {"rate": self.rate, "chunk": self._apart, "hop": self._apart, "label_names": self.label_names, "phones": self.phones}
        return AudioDataset(self._samples, self._starts, self.recordings, name=self.name, **settings)

    def named(self, label_names: tuple[str, ...]) -> "AudioDataset":
        """The same recordings with speakers numbered as in ``label_names``, such as those of a trained model.

        Raises:
            ConfigError: if a speaker is not in ``label_names``.
        """
        here = [self.label_names[recording.speaker] for recording in self.recordings if self.label_names]
        unknown = sorted(set(here) - set(label_names))
        if unknown or (self.recordings and not here):
            raise ConfigError(
                f"The speakers here are {', '.join(unknown[:8]) or 'not named'}; the model has {', '.join(label_names[:8])}"
                f"{', ...' if len(label_names) > 8 else ''}. Put the recordings of each speaker into a folder of that name."
            )
        recordings = [one._replace(speaker=label_names.index(name)) for one, name in zip(self.recordings, here, strict=True)]
        settings = {"rate": self.rate, "apart": self._apart, "label_names": label_names, "phones": self.phones}
        return AudioDataset(self._samples, self._starts, recordings, name=self.name, chunk=self._chunk, hop=self._hop, **settings)

    def clip(self, index: int) -> Float32[np.ndarray, " samples"]:
        """The whole of one recording, in [-1, 1)."""
        return to_float32(self._samples[self._starts[index] : self._starts[index] + self._lengths[index]])


def recordings_of(dataset: Dataset) -> AudioDataset:
    """The data set itself, if it has recordings.

    Raises:
        DataError: if it has other data.
    """
    match dataset:
        case AudioDataset():
            return dataset
    raise DataError(f"{dataset.name} does not have recordings, but {dataset.signal.values()}, {dataset.signal.shape()}.")


class _Decoded(NamedTuple):
    """The samples of the good files, end to end, with their names and lengths; and the bad files, with the reasons."""

    samples: Int16[np.ndarray, " samples"]
    names: list[str]
    lengths: list[int]
    bad: dict[str, str]


def _build(config: AudioFolderConfig) -> Splits:
    root = user_path(config.path)
    check_at_least(1, config, "rate", "chunk", "hop", "crop")
    if not root.exists():
        raise DataError(f"There is no folder or file {root}. Give the path of a folder of recordings, or of one long recording.")
    files, ignored = of_kind(find_files(root), SUFFIXES) if root.is_dir() else ([root.name], "")
    root = root if root.is_dir() else root.parent
    speakers, sides = _speakers(root, files)
    if not speakers:
        raise DataError(f"{root} holds no audio files ({', '.join(SUFFIXES)}), nor do its sub-folders.")
    if sides.words:
        _log.info("%s", sides.words)
    # Held-out speakers come last: a decoder has the first ones.
    everybody = {who for who in speakers.values() if who is not None}
    unseen = everybody - _trained(speakers, sides) | set(config.held_out_speakers)
    label_names = tuple(sorted(everybody, key=lambda who: (who in unseen, who)))
    unknown = sorted(set(config.held_out_speakers) - set(label_names))
    if unknown:
        raise ConfigError(f"config.data.held_out_speakers has {unknown}; the speakers of {root} are {list(label_names)}.")
    contents = read_contents(root, tuple(speakers))
    digest = _digest(contents, tuple(speakers), config.rate)
    decoded = _decode(config, root, contents, tuple(speakers), digest)
    report_bad({str(root / file): reason for file, reason in decoded.bad.items()}, len(speakers), "audio", config.skip_bad)
    speakers, decoded, rows = _split(config, root, speakers, sides, decoded)
    found = zip(("recordings to train on", "held out"), rows, strict=True)
    train, held_out = (f"{len(of):,} {side} ({duration(sum(decoded.lengths[row] for row in of) / config.rate)})" for side, of in found)
    of = f"{len(label_names)} speakers" if label_names else "no speakers"
    _log.info("%s, %s, %s; %s Hz%s.", train, held_out, of, f"{config.rate:,}", f"; ignoring {ignored}" if ignored else "")
    starts = np.cumsum([0, *decoded.lengths[:-1]])
    labels = [0 if (speaker := speakers[name]) is None else label_names.index(speaker) for name in decoded.names]
    # Omitted if None: data keeps its name in runs from before ``crop`` existed.
    crop = [] if config.crop is None else [config.crop]
    by_folder = [] if sides.held_out is None else ["sides"]
    name = content_name("audio", [digest, config.chunk, *crop, config.hop, config.held_out_speakers, *by_folder])
    datasets: list[Dataset] = []
    cuts = (config.crop or config.chunk, config.hop), (config.chunk, config.chunk)
    for side, of, (chunk, hop) in zip(Splits._fields, rows, cuts, strict=True):
        if not len(of):
            raise DataError(f"No recording in {root} is left for the {side} side. Hold out other speakers.")
        recordings = [Recording(decoded.names[row], labels[row], decoded.lengths[row]) for row in of]
        settings = {"rate": config.rate, "chunk": chunk, "hop": hop, "apart": config.chunk, "label_names": label_names}
        datasets.append(AudioDataset(decoded.samples, starts[of], recordings, name=f"{name}-{side.replace('_', '-')}", **settings))
    minutes = sum(decoded.lengths) / config.rate / 60
    counts = f"{len(rows[0]):,} recordings to train on, {len(rows[1]):,} held out: {minutes:,.1f} minutes, read at {config.rate:,} Hz."
    for dataset in datasets:
        dataset.found = tuple(words for words in (sides.words, counts) if words)
    return Splits(*datasets)


def _split(
    config: AudioFolderConfig, root: Path, speakers: Mapping[str, str | None], sides: Sides, decoded: _Decoded
) -> tuple[Mapping[str, str | None], _Decoded, tuple[np.ndarray, np.ndarray]]:
    """The speakers, the recordings, and the recordings on each side."""
    if sides.held_out is not None:
        if config.held_out_speakers:
            raise ConfigError(f"config.data.held_out_speakers is given, but {root} has a folder to hold out. {sides.words} Use only one.")
        held_files = {item.file for item in sides.held_out}
        held = np.array([name in held_files for name in decoded.names], dtype=bool)
    elif config.held_out_speakers:
        held = np.array([speakers[name] in config.held_out_speakers for name in decoded.names], dtype=bool)
    elif len(decoded.names) == 1:
        return _cut(speakers, decoded, config)
    else:
        return speakers, decoded, split_of_any_size(decoded.names, str(root))
    return speakers, decoded, (np.flatnonzero(~held), np.flatnonzero(held))


def speaker_names(path: str) -> tuple[str, ...]:
    """The speakers of a folder of recordings, in alphabetical order.

    Empty if there is no such folder, it has no speakers, or some speakers are only held out: a decoder could not learn those.
    """
    root = user_path(path)
    speakers, sides = _speakers(root, find_files(root, SUFFIXES) if root.is_dir() else [])
    everybody = {who for who in speakers.values() if who is not None}
    return tuple(sorted(everybody)) if everybody == _trained(speakers, sides) else ()


def _cut(
    speakers: Mapping[str, str | None], decoded: _Decoded, config: AudioFolderConfig
) -> tuple[dict[str, str | None], _Decoded, tuple[np.ndarray, np.ndarray]]:
    """A single recording, split into a part to train on and held-out pieces at its end. These are 5 % of it, or a chunk if that is more,
    but never more than half."""
    (name,), (total,) = decoded.names, decoded.lengths
    held = min(max(total // 20, config.chunk), total // 2)
    if not held:
        raise DataError(f"{config.path} is one recording of {total} sample; at least 2 are needed, one to train on and one to hold out.")
    piece = max(config.chunk, _PIECE_SECONDS * config.rate)
    count = max(1, held // piece)
    lengths = [total - held, *[piece] * (count - 1), held - piece * (count - 1)]
    names = [name, *(f"{name}#{number}" for number in range(1, count + 1))]
    who = dict.fromkeys(names, speakers[name])
    return who, decoded._replace(names=names, lengths=lengths), (np.arange(1), np.arange(1, count + 1))


def _speakers(root: Path, files: Sequence[str]) -> tuple[dict[str, str | None], Sides]:
    """The files of the data set, each with its speaker, if there are speakers; and their sides."""
    sides = find_sides(root, files)
    items = sorted([*sides.train, *(sides.held_out or ())])
    # The folder may be a whole corpus or a part of one: the folders above it help to recognise it.
    full = {item.file: (root.resolve() / item.file).as_posix() for item in items}
    librispeech = {file: re.search(r"/(\d+)/(\d+)/\1-\2-\d+\.\w+$", path) for file, path in full.items()}
    if all(librispeech.values()):
        return {file: match[1] for file, match in librispeech.items() if match}, sides
    for pattern in (r"/wav48_silence_trimmed/([^/]+)/[^/]+_mic1\.\w+$", r"/wav48/([^/]+)/[^/]+$"):
        vctk = {file: match[1] for file, path in full.items() if (match := re.search(pattern, path))}
        if vctk:
            return vctk, sides
    loose = [item.file for item in items if item.group is None]
    if loose and len(loose) < len(items):
        raise DataError(f"{root / loose[0]} lies in no sub-folder, so it has no speaker, but others do. Move it into one.")
    return {item.file: item.group for item in items}, sides


def _trained(speakers: Mapping[str, str | None], sides: Sides) -> set[str]:
    """The speakers with recordings outside the held-out folders."""
    return {who for item in sides.train if (who := speakers.get(item.file)) is not None}


def _digest(contents: Mapping[str, Content], files: Sequence[str], rate: int) -> str:
    """The name of the decoded recordings, from the bytes of the files. A file that cannot be read has no digest."""
    return content_name("", [[(file, contents[file].digest if file in contents else None) for file in files], rate, _VERSION])[1:]


def _decode(config: AudioFolderConfig, root: Path, contents: Mapping[str, Content], files: Sequence[str], digest: str) -> _Decoded:
    """Decode the files into one file in the cache, if it is not there yet, and map it into memory: hours of speech need not fit.

    Failures are not final: each time, files that could not be decoded are tried again. If one of them can be now, all are decoded anew.
    """
    folder = (user_cache() / "audio" if config.cache is None else user_path(config.cache)) / f"{digest}-{_READER}"
    advice = f"{ADVICE[:-1]}, or give another folder with --data.cache."

    if not exists(folder) or _is_mended(folder, root, config.rate):
        with locked(folder, DataError, advice):
            if not folder.is_dir() or _is_mended(folder, root, config.rate):
                _log.info("Decoding %d files in %s to %s.", len(files), root, folder)
                with atomic_folder(folder, DataError, advice) as partial:
                    _fill(partial, root, files, config.rate)
                    check_unchanged(root, contents)
    lengths, bad = _kept(folder)
    samples = np.memmap(folder / "samples.s16", "<i2", "r") if lengths else np.empty(0, np.int16)
    return _Decoded(samples, list(lengths), list(lengths.values()), bad)


def _kept(folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """The lengths of the good files in a cache, and why the others are bad.

    Raises:
        DataError: the cache is damaged.
    """
    try:
        kept = json.loads(read_text(folder / "recordings.json", _LARGEST_RECORD))
        lengths, bad = dict(kept["lengths"]), dict(kept["bad"])
        if not all(type(length) is int and length > 0 for length in lengths.values()):
            raise ValueError("a length is no positive number")
        if sum(lengths.values()) * 2 != (folder / "samples.s16").stat().st_size:
            raise ValueError("its samples are not those of its recordings")
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise DataError(f"{folder} is a damaged cache ({error}). Remove it: the recordings are then decoded again.") from error
    return lengths, bad


def _is_mended(folder: Path, root: Path, rate: int) -> bool:
    """Whether a file that could not be decoded before can be decoded now."""
    return any(isinstance(_samples(root / file, rate), np.ndarray) for file in _kept(folder)[1])


def _samples(path: Path, rate: int) -> np.ndarray | str:
    """The samples of a file, or the reason why it cannot be decoded."""
    try:
        return np.concatenate([to_int16(block) for block in audio_blocks(path, rate)])
    except DataError as error:
        return str(error)


def _fill(folder: Path, root: Path, files: Sequence[str], rate: int) -> None:
    """Write samples.s16, and recordings.json with the lengths of the good files and the reasons for the bad ones."""

    lengths: dict[str, int] = {}
    bad: dict[str, str] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool, (folder / "samples.s16").open("wb") as output:
        # A few at a time, so that what is decoded does not pile up in memory before it is written.
        groups = [files[first : first + 64] for first in range(0, len(files), 64)]
        for group in tracked(groups, "reading recordings", len(files), len):
            for file, result in zip(group, pool.map(lambda file: _samples(root / file, rate), group), strict=True):
                if isinstance(result, str):
                    bad[file] = result
                else:
                    lengths[file] = len(result)
                    output.write(result.astype("<i2").tobytes())
    (folder / "recordings.json").write_text(json.dumps({"lengths": lengths, "bad": bad}))
