"""Audio files to samples and back, at any rate; the only importer of soundfile and soxr."""

import io
import logging
import math
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16

from vqvae.disk import atomic, user_path
from vqvae.errors import DataError, MissingExtraError
from vqvae.media.containers import parts

_log = logging.getLogger(__name__)

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".w64", ".rf64")
"""Suffixes of audio files, in upper or lower case. Other files in a folder are ignored."""
_BLOCK = 65_536
_RATIO = 256
"""The largest change of the sample rate: what goes beyond it is a damaged header."""


def read_audio(path: str | Path, rate: int) -> Float32[np.ndarray, " samples"]:
    """Decode an audio file (WAV, FLAC, OGG, Opus, MP3, AIFF, AU, W64, RF64): the mean of its channels, resampled to ``rate``, in [-1, 1].

    A file that is cut short gives the samples that it has, with a warning. The length that a header states decides nothing.

    Raises:
        DataError: if the file is missing, has no samples, is not an audio file, has samples that are not finite, or has a sample rate
            more than 256 times higher or lower than ``rate``.
        MissingExtraError: if soundfile or soxr is not installed.
    """
    return np.concatenate(list(audio_blocks(path, rate)))


def audio_blocks(path: str | Path, rate: int, size: int = _BLOCK, content: bytes | None = None) -> Iterator[Float32[np.ndarray, " block"]]:
    """Like ``read_audio``, in blocks of ``size`` samples; the last one may be shorter. Memory does not grow with the file: a block takes at
    most 4 MiB before its channels are averaged. ``content`` is the bytes of the file, if it lies in another file; ``path`` is then only a
    name for messages."""
    waiting, yielded = np.empty(0, np.float32), False
    for block in _resampled(user_path(path, DataError) if content is None else Path(path), rate, content):
        waiting = np.concatenate([waiting, block.clip(-1, 1)])
        while len(waiting) >= size:
            yield waiting[:size]
            waiting, yielded = waiting[size:], True
    if len(waiting):
        yield waiting
    elif not yielded:
        raise DataError(f"{path} cannot be decoded: it is too short to have a sample at {rate} Hz.")


def write_audio(path: str | Path, samples: Float32[np.ndarray, " samples"] | Iterable[Float32[np.ndarray, " block"]], rate: int) -> None:
    """Write one channel, as an array or in blocks, to a .wav or .flac file with 16 bits per sample. The file is written completely or not
    at all. Values outside [-1, 1] are clipped.

    Raises:
        DataError: if the suffix is another one, a sample is not finite, or the file cannot be written.
        MissingExtraError: if soundfile is not installed.
    """
    path, soundfile = user_path(path, DataError), _soundfile()
    kind = path.suffix.lower()
    if kind not in (".wav", ".flac"):
        raise DataError(f"{path} ends in '{path.suffix}'; audio is written as .wav or .flac.")
    settings = {"samplerate": rate, "channels": 1, "subtype": "PCM_16", "format": kind[1:].upper()}
    with atomic(path, DataError, "Choose another place.") as partial:
        try:
            with soundfile.SoundFile(str(partial), "w", **settings) as file:
                for block in [samples] if isinstance(samples, np.ndarray) else samples:
                    if not np.isfinite(block).all():
                        raise DataError(f"The samples for {path} are not all finite numbers; nothing was written.")
                    file.write(to_int16(block))
        except soundfile.LibsndfileError as error:  # Such as a full disk.
            raise DataError(f"{path} could not be written ({error.error_string}) Choose another place.") from error


def flac_size(samples: Float32[np.ndarray, " samples"], rate: int) -> int:
    """The size of a recording as FLAC with 16 bits per sample, in bytes.

    Raises:
        MissingExtraError: if soundfile is not installed.
    """
    file = io.BytesIO()
    _soundfile().write(file, to_int16(samples), rate, format="FLAC", subtype="PCM_16")
    # The writer goes back to its header in the end, so the position is not the size.
    return len(file.getvalue())


def resample(samples: Float32[np.ndarray, " samples"], rate: int, new_rate: int) -> Float32[np.ndarray, " resampled"]:
    """Change the sample rate without aliasing. Times do not shift. The result is in [-1, 1].

    Raises:
        MissingExtraError: if soxr is not installed.
    """
    return samples if rate == new_rate else _soxr().resample(samples, rate, new_rate).clip(-1, 1)


def to_int16(samples: Float32[np.ndarray, " samples"]) -> Int16[np.ndarray, " samples"]:
    """Round to steps of 1/32768. Values outside [-1, 1) are clipped."""
    return np.rint(samples * np.float32(32_768)).clip(-32_768, 32_767).astype(np.int16)


def to_float32(samples: Int16[np.ndarray, " samples"]) -> Float32[np.ndarray, " samples"]:
    """Scale to [-1, 1)."""
    return samples.astype(np.float32) / np.float32(32_768)


def _soundfile() -> ModuleType:
    try:
        import soundfile
    except ImportError as error:
        raise MissingExtraError("soundfile", "audio") from error
    return soundfile


def _soxr() -> ModuleType:
    try:
        import soxr
    except ImportError as error:
        raise MissingExtraError("soxr", "audio") from error
    return soxr


def _resampled(path: Path, rate: int, content: bytes | None) -> Iterator[np.ndarray]:
    """The file's samples at another rate, in blocks of any size."""
    stream, stream_rate = None, rate
    for own_rate, block in _decoded(path, rate, content):
        if stream is not None and own_rate != stream_rate:  # A file may string streams of several rates together.
            yield stream.resample_chunk(np.empty(0, np.float32), last=True)
            stream = None
        if own_rate == rate:
            yield block
        else:
            stream, stream_rate = stream or _soxr().ResampleStream(own_rate, rate, 1, dtype="float32"), own_rate
            yield stream.resample_chunk(block)
    if stream is not None:
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _decoded(path: Path, rate: int, content: bytes | None) -> Iterator[tuple[int, np.ndarray]]:
    """The file's own rate with each block of its samples, float32 (samples,); ``rate`` is the one that is wanted."""
    soundfile, count = _soundfile(), 0
    try:
        with path.open("rb") if content is None else io.BytesIO(content) as file:
            if not file.seek(0, io.SEEK_END):
                raise DataError(f"{path} cannot be decoded: the file is empty.")
            for part in parts(file):
                before, missing, frames = count, part.missing, part.frames
                try:
                    with soundfile.SoundFile(part.view) as sound:
                        # Otherwise soundfile seeks after each block, to where it is already. In a FLAC of unknown length with a seek table,
                        # libsndfile cannot do that near the end.
                        sound.seekable = lambda: False
                        _check_rate(path, sound.samplerate, rate)
                        if sound.format == "OGG" and sound.frames < sys.maxsize:  # Damage in the middle is passed over without an error.
                            frames = max(frames, sound.frames)
                        for block, damaged in _blocks(sound, rate, soundfile.LibsndfileError):
                            if not np.isfinite(block).all():
                                raise DataError(f"{path} cannot be decoded: it has samples that are not finite numbers (NaN or infinity).")
                            count, missing = count + len(block), missing or damaged
                            yield sound.samplerate, block
                except soundfile.LibsndfileError as error:
                    if not count:
                        raise DataError(
                            f"{path} cannot be decoded: it is not an audio file in a known format, or it is damaged."
                        ) from error
                    missing = True
                if count and (missing or count - before < frames):
                    _log.warning("%s is cut short or damaged. The %d samples that it has are used.", path, count)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if not count:
        raise DataError(f"{path} cannot be decoded: it holds no samples.")


def _blocks(sound: Any, rate: int, failure: type[Exception]) -> Iterator[tuple[np.ndarray, bool]]:
    """The mean of a file's channels in blocks, each with whether the file is damaged after it."""
    # As much memory for three hundred channels as for one, and for a file whose samples become many more at the new rate.
    size = max(1, min(_BLOCK, _BLOCK * 16 // sound.channels, _BLOCK * sound.samplerate // rate))
    while True:
        block = np.full((size, sound.channels), np.nan, np.float32)
        try:
            count = len(sound.read(out=block))
            damaged = False
        except failure:
            # soundfile reports damage, and the end of a stream whose length is not known, after it has filled what it could.
            empty = np.isnan(block).all(axis=1)
            count = int(empty.argmax()) if empty.any() else size
            damaged = sound.frames < sys.maxsize
        if count:
            yield block[:count].mean(axis=1), damaged
        if count < size:
            return


def _check_rate(path: Path, own_rate: int, rate: int) -> None:
    if not rate <= own_rate * _RATIO <= rate * _RATIO**2:
        raise DataError(
            f"{path} cannot be decoded: its header states a sample rate of {own_rate} Hz. To convert it to {rate} Hz, the rate must be "
            f"between {math.ceil(rate / _RATIO)} and {rate * _RATIO} Hz. Correct the header."
        )
