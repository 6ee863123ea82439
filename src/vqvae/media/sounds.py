"""Audio files to samples and back, at any rate; the only importer of soundfile and soxr."""

import logging
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32, Int16

from vqvae.disk import atomic
from vqvae.errors import DataError, MissingExtraError
from vqvae.media.containers import parts

_log = logging.getLogger(__name__)

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc", ".au", ".w64", ".rf64")
"""What counts as an audio file, in any case; files with other suffixes are ignored."""
_BLOCK = 65_536
_RATIO = 256
"""The largest change of the sample rate: what goes beyond it is a damaged header."""


def read_audio(path: str | Path, rate: int) -> Float32[np.ndarray, " samples"]:
    """Decode a WAV, FLAC, OGG or MP3 file of any length: the mean of its channels, resampled to ``rate``, in [-1, 1].

    Raises:
        DataError: the file is missing, empty, cut short (of an MP3 without a header, that does not show), has samples that are not
            finite, or is something else.
        MissingExtraError: soundfile or soxr is not installed.
    """
    return np.concatenate(list(audio_blocks(path, rate)))


def audio_blocks(path: str | Path, rate: int, size: int = _BLOCK) -> Iterator[Float32[np.ndarray, " block"]]:
    """As ``read_audio``, in blocks of ``size`` samples, of which the last may be shorter: a long file is never in memory as a whole."""
    waiting, yielded = np.empty(0, np.float32), False
    for block in _resampled(Path(path), rate):
        waiting = np.concatenate([waiting, block.clip(-1, 1)])
        while len(waiting) >= size:
            yield waiting[:size]
            waiting, yielded = waiting[size:], True
    if len(waiting):
        yield waiting
    elif not yielded:
        raise DataError(f"{path} cannot be decoded: at {rate} samples a second it holds none.")


def write_audio(path: str | Path, samples: Float32[np.ndarray, " samples"] | Iterable[Float32[np.ndarray, " block"]], rate: int) -> None:
    """Write one channel, an array or blocks of it, as a .wav or .flac file with 16 bits a sample, whole or not at all. What is beyond
    [-1, 1] is clipped.

    Raises:
        DataError: the suffix is another one, a sample is not finite, or the place cannot be written.
        MissingExtraError: soundfile is not installed.
    """
    path, soundfile = Path(path), _soundfile()
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


def resample(samples: Float32[np.ndarray, " samples"], rate: int, new_rate: int) -> Float32[np.ndarray, " resampled"]:
    """Change the rate, with nothing above the lower of the two half rates; times stay. The result is in [-1, 1].

    Raises:
        MissingExtraError: soxr is not installed.
    """
    return samples if rate == new_rate else _soxr().resample(samples, rate, new_rate).clip(-1, 1)


def to_int16(samples: Float32[np.ndarray, " samples"]) -> Int16[np.ndarray, " samples"]:
    """Round to steps of 1/32768; what is beyond [-1, 1) is clipped."""
    return np.rint(samples * np.float32(32_768)).clip(-32_768, 32_767).astype(np.int16)


def to_float32(samples: Int16[np.ndarray, " samples"]) -> Float32[np.ndarray, " samples"]:
    """In [-1, 1)."""
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


def _resampled(path: Path, rate: int) -> Iterator[np.ndarray]:
    """The file's samples at another rate, in blocks of any size."""
    stream, stream_rate = None, rate
    for own_rate, block in _decoded(path, rate):
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


def _decoded(path: Path, rate: int) -> Iterator[tuple[int, np.ndarray]]:
    """The file's own rate with each block of its samples, float32 (samples,); ``rate`` is the one that is wanted."""
    soundfile, count = _soundfile(), 0
    try:
        with path.open("rb") as file:
            if not path.stat().st_size:
                raise DataError(f"{path} cannot be decoded: the file is empty.")
            for part in parts(file):
                before, missing = count, part.missing
                try:
                    with soundfile.SoundFile(part.view) as sound:
                        _check_rate(path, sound.samplerate, rate)
                        for block, damaged in _blocks(sound, rate, soundfile.LibsndfileError):
                            if not np.isfinite(block).all():
                                raise DataError(f"{path} cannot be decoded: it has samples that are not finite numbers.")
                            count, missing = count + len(block), missing or damaged
                            yield sound.samplerate, block
                except soundfile.LibsndfileError as error:
                    if not count:
                        raise DataError(f"{path} cannot be decoded: it is no audio file of a known kind, or damaged.") from error
                    missing = True
                if count and (missing or count - before < part.frames):
                    _log.warning("%s is cut short or damaged: the %d samples before that are read.", path, count)
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
            f"{path} cannot be decoded: it says that it has {own_rate} samples a second. At most {_RATIO} times as many as the {rate} that "
            f"are wanted can be read, and at least a {_RATIO}th. Correct its header."
        )
