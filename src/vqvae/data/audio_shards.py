"""Recordings in tars, Parquet and Arrow files as a data set. They are decoded once, into the cache, and read from there."""

import dataclasses
import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Int16, Int64

from vqvae.config import INCIDENTAL, check_at_least, settings
from vqvae.data.audio import AudioDataset, Recording
from vqvae.data.base import Splits
from vqvae.data.cache import ADVICE, user_cache, user_path
from vqvae.data.contents import content_name
from vqvae.data.files import find_files, report_bad
from vqvae.data.indexed import IndexedItems
from vqvae.data.records.found import find_shards
from vqvae.data.shard_sides import FoundShards, open_shards
from vqvae.disk import atomic_folder, exists, locked, read_text
from vqvae.errors import DataError
from vqvae.media.sounds import SUFFIXES, audio_blocks, to_int16
from vqvae.progress import tracked
from vqvae.words import duration

_log = logging.getLogger(__name__)

_VERSION = 2  # Of the conversion from files to samples. A change to it needs another place in the cache.
_AT_ONCE = 64
"""Recordings that are decoded before they are written."""
_LARGEST = 2**28
"""Bytes of the reasons why recordings are bad."""


@settings
class AudioShardsConfig:
    """Recordings in shards: WebDataset tars, Parquet files, or a folder that ``save_to_disk`` of Hugging Face ``datasets`` wrote.

    Each is decoded once, as one channel at one rate, into the cache. Sides are found as for ``ImageShardsConfig``. Labels are speakers, if
    every recording has one.
    """

    kept_in: ClassVar[tuple[str, str]] = ("cache", "*/index.json")
    """The field with the cache folder, and a pattern that matches the files in it."""

    path: str = dataclasses.field(metadata=INCIDENTAL | {"value": "FOLDER|FILE"})
    """The folder, one file, or a pattern of file names, such as ``data/train-*.tar``."""
    rate: int = 16_000
    """Samples per second. Other recordings are resampled."""
    chunk: int = 20_480
    """Samples per example."""
    crop: int | None = None
    """Samples per training example; default: ``chunk``. Short examples train faster; codes and scores need long ones."""
    hop: int = 1_280
    """Samples from the start of a training example to the start of the next. Held-out examples do not overlap."""
    column: str | None = dataclasses.field(default=None, metadata={"value": "NAME"})
    """The column of tables with the recordings. Default: the only one with bytes."""
    label_column: str | None = dataclasses.field(default=None, metadata={"value": "NAME"})
    """The column of tables with the speakers, as numbers or names. Default: ``label``, if there is one."""
    cache: str | None = dataclasses.field(default=None, metadata=INCIDENTAL | {"value": "FOLDER"})
    """The folder for the index and the decoded samples; default: ~/.cache/vqvae/shards."""
    skip_bad: bool = dataclasses.field(default=False, metadata=INCIDENTAL)
    """Skip recordings that cannot be decoded, with a warning, instead of stopping."""

    def build(self) -> Splits:
        """Index the files and decode the recordings, or find both in the cache.

        Raises:
            ConfigError: if a column is missing, or several could have the recordings.
            DataError: if there are no recordings, or some cannot be decoded.
        """
        check_at_least(1, self, "rate", "chunk", "hop", "crop")
        found = open_shards(self.path, SUFFIXES, column=self.column, label_column=self.label_column, cache=self.cache)
        decoded = _decode(found.items, self)
        bad = {str(row): f"{found.items.name(row)}: {why}" for row, why in found.items.bad.items()}
        report_bad(bad | decoded.bad, len(found.items), "audio", self.skip_bad)
        label_names = _speakers(found)
        train, held_out = (_dataset(found, decoded, side, label_names, self) for side in Splits._fields)
        counts = (
            f"{len(train.recordings):,} recordings in shards to train on, {len(held_out.recordings):,} held out, "
            f"{len(label_names) or 'no'} speakers: {duration(int(decoded.lengths.sum()) / self.rate)}, read at {self.rate:,} Hz."
        )
        words = tuple(words for words in (found.words, counts) if words)
        for line in words:
            _log.info("%s", line)
        for dataset in (train, held_out):
            dataset.found = words
        return Splits(train, held_out)


def has_audio_shards(path: str) -> bool:
    """Whether a place holds shards, and at least as many as audio files."""
    root = user_path(path)
    shards = find_shards(root)
    return shards is not None and len(shards.files) >= (len(find_files(root, SUFFIXES)) if root.is_dir() else 0)


def shard_speakers(path: str, *, column: str | None = None, label_column: str | None = None, cache: str | None = None) -> tuple[str, ...]:
    """The speakers of recordings in shards. Empty if some have none, or some speakers are only held out: a decoder could not learn those.

    Raises:
        ConfigError: if a column is missing, or several could have the recordings.
        DataError: if there are no recordings, or a file is damaged.
    """
    found = open_shards(path, SUFFIXES, column=column, label_column=label_column, cache=cache)
    names = _speakers(found)
    return names if set(np.unique(found.items.labels(found.train)).tolist()) == set(range(len(names))) else ()


def _speakers(found: FoundShards) -> tuple[str, ...]:
    """The names of the speakers; empty if not every recording has one."""
    items = found.items
    has_all = all((items.labels(rows) >= 0).all() for rows in (found.train, found.held_out))
    return items.label_names if has_all else ()


class _Decoded(NamedTuple):
    """The samples of all good recordings, end to end."""

    samples: Int16[np.ndarray, " samples"]
    lengths: Int64[np.ndarray, " items"]
    """The length of each item in samples; 0 for a bad one."""
    bad: dict[str, str]
    """Why items cannot be decoded, by their numbers."""


def _decode(items: IndexedItems, config: AudioShardsConfig) -> _Decoded:
    """Decode all items into one file in the cache, if it is not there yet, and map it into memory."""
    name = content_name("recordings", [items.digest(slice(None)), config.rate, _VERSION])
    folder = (user_cache() / "shards" if config.cache is None else user_path(config.cache)) / name
    advice = f"{ADVICE[:-1]}, or give another folder with --data.cache."
    if not exists(folder):
        with locked(folder, DataError, advice):
            if not folder.is_dir():
                _log.info("Decoding %d recordings to %s.", len(items), folder)
                with atomic_folder(folder, DataError, advice) as partial:
                    _fill(partial, items, config.rate)
    try:
        lengths = np.fromfile(folder / "lengths", "<i8").astype(np.int64)
        bad = dict(json.loads(read_text(folder / "bad.json", _LARGEST)))
        size = (folder / "samples.s16").stat().st_size
        if len(lengths) != len(items) or (lengths < 0).any() or lengths.sum() * 2 != size:
            raise ValueError("its samples are not those of its recordings")
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{folder} is a damaged cache ({error}). Remove it: the recordings are then decoded again.") from error
    samples = np.memmap(folder / "samples.s16", "<i2", "r") if size else np.empty(0, np.int16)
    return _Decoded(samples, lengths, bad)


def _fill(folder: Path, items: IndexedItems, rate: int) -> None:
    """Write the samples, their lengths, and why items are bad."""
    lengths, bad = np.zeros(len(items), "<i8"), {}
    groups = [np.arange(first, min(first + _AT_ONCE, len(items))) for first in range(0, len(items), _AT_ONCE)]
    with ThreadPoolExecutor(os.cpu_count()) as pool, (folder / "samples.s16").open("wb") as output:
        for rows in tracked(groups, "reading recordings", len(items), len):
            good = np.array([row for row in rows.tolist() if row not in items.bad], np.int64)
            names = [items.name(int(row)) for row in good]
            results = pool.map(lambda name, content: _samples(name, content, rate), names, items.read(good))
            for row, result in zip(good.tolist(), results, strict=True):
                if isinstance(result, str):
                    bad[str(row)] = result
                else:
                    lengths[row] = len(result)
                    output.write(result.astype("<i2").tobytes())
    lengths.tofile(folder / "lengths")
    (folder / "bad.json").write_text(json.dumps(bad))


def _samples(name: str, content: bytes, rate: int) -> np.ndarray | str:
    """The samples of a recording, or the reason why it cannot be decoded."""
    try:
        return np.concatenate([to_int16(block) for block in audio_blocks(name, rate, content=content)])
    except DataError as error:
        return str(error)


def _dataset(found: FoundShards, decoded: _Decoded, side: str, label_names: tuple[str, ...], config: AudioShardsConfig) -> AudioDataset:
    is_train = side == "train"
    every = found.train if is_train else found.held_out
    rows = every[decoded.lengths[every] > 0].astype(np.int64)
    if not len(rows):
        raise DataError(f"No recording on the {side} side of {found.where} can be decoded.")
    speakers = found.items.labels(rows).tolist() if label_names else [0] * len(rows)
    names, lengths = map(found.items.key, rows.tolist()), decoded.lengths[rows].tolist()
    facts = [found.items.digest(rows, with_labels=bool(label_names)), label_names, config.rate, config.chunk, config.crop, config.hop]
    return AudioDataset(
        decoded.samples,
        (np.cumsum(decoded.lengths) - decoded.lengths)[rows],
        [Recording(*one) for one in zip(names, speakers, lengths, strict=True)],
        name=f"{content_name('audio-shards', facts)}-{side.replace('_', '-')}",
        rate=config.rate,
        chunk=(config.crop or config.chunk) if is_train else config.chunk,
        hop=config.hop if is_train else config.chunk,
        apart=config.chunk,
        label_names=label_names,
    )
