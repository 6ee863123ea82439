"""Audio files to samples and back, at any rate; the only importer of soundfile and soxr."""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

import numpy as np
from jaxtyping import Float32, Int16

from vqvae.disk import atomic
from vqvae.errors import DataError, MissingExtraError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
"""What counts as an audio file, in any case; files with other suffixes are ignored."""
_BLOCK = 65_536


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
    stream = None
    for own_rate, block in _decoded(path):
        if own_rate == rate:
            yield block
        else:
            stream = stream or _soxr().ResampleStream(own_rate, rate, 1, dtype="float32")
            yield stream.resample_chunk(block)
    if stream is not None:
        yield stream.resample_chunk(np.empty(0, np.float32), last=True)


def _decoded(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """The file's rate with one block of samples after another, float32 (samples,)."""
    soundfile = _soundfile()
    _check_whole(path)
    count = 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
                if not np.isfinite(block).all():
                    raise DataError(f"{path} cannot be decoded: it has samples that are not finite numbers.")
                count += len(block)
                yield file.samplerate, block.mean(axis=1)
            expected = file.frames
    except soundfile.LibsndfileError as error:
        reason = "cut short or damaged" if count else "not a WAV, FLAC, OGG or MP3 file, or damaged"
        raise DataError(f"{path} cannot be decoded: it is {reason}.") from error
    if not count:
        raise DataError(f"{path} cannot be decoded: it holds no samples.")
    # A file that was written as a stream may not say how long it is.
    if count < expected < sys.maxsize:
        raise DataError(f"{path} cannot be decoded: it is cut short, with {count} of {expected} samples.")


def _check_whole(path: Path) -> None:
    """That there is a file with something in it, and that a WAV or OGG file has its end: libsndfile takes what is there."""
    try:
        length = path.stat().st_size
        with path.open("rb") as file:
            kind = file.read(12)
            whole = _has_all_samples(file, length) if kind[:4] == b"RIFF" and kind[8:] == b"WAVE" else True
            if kind[:4] == b"OggS":
                file.seek(-min(length, _LARGEST_PAGE), os.SEEK_END)
                whole = _ends_a_stream(file.read())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if not length:
        raise DataError(f"{path} cannot be decoded: the file is empty.")
    if not whole:
        raise DataError(f"{path} cannot be decoded: it is cut short.")


def _has_all_samples(file: BinaryIO, length: int) -> bool:
    """Whether the chunk of samples of a WAV file, read up to its first chunk, ends within the file."""
    while len(head := file.read(8)) == 8:
        size = int.from_bytes(head[4:], "little")
        # A stream, whose writer could not know the length, says the largest that it can: about 2^31 or 2^32, less what is before.
        if head[:4] == b"data" and size < 2**31 - 2**16 and file.tell() + size > length:
            return False
        file.seek(size + size % 2, os.SEEK_CUR)
    return True


# RFC 3533, section 6: 27 bytes, of which the sixth has flags and the last counts the lengths that follow; then what has these lengths.
_LARGEST_PAGE = 27 + 255 + 255 * 255


def _ends_a_stream(tail: bytes) -> bool:
    """Whether the last page of an OGG file is there as a whole, and is marked as the last of its stream."""
    page = tail[tail.rfind(b"OggS") :]
    return len(page) >= 27 and bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(page[27 : 27 + page[26]])
