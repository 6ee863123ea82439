"""The table of kinds of data: how each kind is scored, drawn, read and written.

A new kind of data is a new row. Data without a row of its own is treated as arrays.
"""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vqvae.data.base import Dataset
from vqvae.errors import ConfigError
from vqvae.evaluation.arrays.files import read_examples, write_examples
from vqvae.evaluation.arrays.scores import score_arrays
from vqvae.evaluation.base import Evaluation
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.evaluation.images.scores import score_images
from vqvae.evaluation.speech.distances import RunningLogMelDistance, log_mel_distance
from vqvae.evaluation.speech.scores import score_sound
from vqvae.evaluation.video.scores import score_video
from vqvae.exact import exact
from vqvae.media.arrays import READABLE
from vqvae.media.formats import SUFFIXES as PICTURE_SUFFIXES
from vqvae.media.images import read_image
from vqvae.media.png import write_png_rows
from vqvae.media.sounds import SUFFIXES as SOUND_SUFFIXES
from vqvae.media.sounds import audio_blocks, write_audio
from vqvae.media.video import SUFFIXES as VIDEO_SUFFIXES
from vqvae.media.video import frame_rate_of, read_video, write_video
from vqvae.pipeline import Pipeline
from vqvae.reports.grids import grid, pair_grid
from vqvae.signals import Signal

FRAME_RATE = 10.0
"""Frames per second of written videos if the data has no frame rate."""
_NEAR_RATE = 0.1
"""If the frame rates of a video and of the model differ by at most this share, they count as equal. Otherwise frames are repeated or
skipped."""
Blocks = Iterable[Tensor]
"""One example (1, channels, *axes) in pieces along its last axis, one after the other."""
Bounds = tuple[float, float] | None
"""The range of float data; None if it is not given."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What can be done with one kind of data."""

    name: str
    """What users call it."""
    unit: str
    """What users call its positions."""
    matches: Callable[[Signal], bool]
    """Whether data with this signal is of this kind."""
    score: Callable[[Pipeline, Dataset], Evaluation]
    """Numbers, pictures, charts and sounds of a model on held-out data."""
    suffixes: tuple[str, ...]
    """Suffixes of the files that an example is written to. The first is the default."""
    inputs: tuple[str, ...]
    """Suffixes of the files that are read from a folder."""
    read: Callable[..., Iterator[Tensor]]
    """A file as blocks, from its path and the signal. Pictures and arrays also take ``bounds``, the values in files of floats that become
    the lowest and the highest level."""
    write: Callable[[Path, Blocks, Signal], None]
    """Blocks to a file, whole or not at all."""
    measure: str
    """The name of the score that compares a reconstruction with its original; see ``vqvae.reports.measures``."""
    near: Callable[[Tensor, Tensor, Signal], float]
    """That score, from a reconstruction (1, channels, *axes) and the original."""
    running: Callable[[Signal], RunningLogMelDistance] | None = None
    """The same score for an example that arrives in pieces. None if it must be whole."""
    grid: Callable[[Tensor, int], np.ndarray] | None = None
    """Draws examples in this many columns, as uint8 (height, width, 3). None if this kind cannot be drawn."""
    pairs: Callable[[Tensor, Tensor, int], np.ndarray] | None = None
    """The same, with each row of originals above a row of reconstructions."""


def kind_of(signal: Signal) -> Kind:
    """The first row of the table that data with this signal matches."""
    return next(kind for kind in KINDS if kind.matches(signal))


def sample_rate_of(signal: Signal) -> int:
    """The sample rate of sound.

    Raises:
        ConfigError: if it is unknown, or not a whole number.
    """
    found = signal.sample_rate or 0
    if found < 1 or found != int(found):
        raise ConfigError(
            f"The sample rate of this sound is {signal.sample_rate}; the run's card must give a whole number of samples per second."
        )
    return int(found)


def other_frame_rate(path: Path, signal: Signal) -> float | None:
    """The frame rate at which a video file is read as clips with this signal. None if it is about that of the file."""
    there = frame_rate_of(path)
    wanted = signal.sample_rate or there
    # The times in GIF files are rounded to a hundredth of a second, so a file can be slightly faster than its data.
    return wanted if abs(there - wanted) > _NEAR_RATE * wanted else None


def whole(blocks: Blocks) -> Tensor:
    """Blocks as one example."""
    return torch.cat(list(blocks), -1)


def signal_of(file: Path, signal: Signal) -> Signal:
    """The signal of the data in a file that a model reads: the model's, with the frame rate of a video if the model has none.

    Raises:
        DataError: if the video cannot be decoded.
    """
    if kind_of(signal) is not VIDEO or signal.sample_rate is not None or file.suffix.lower() not in VIDEO_SUFFIXES:
        return signal
    return dataclasses.replace(signal, sample_rate=frame_rate_of(file))


def _is_picture(signal: Signal) -> bool:
    return len(signal.axes) == 2 and "time" not in signal.axes and signal.levels in (256, 65_536) and signal.channels in (1, 3)


def _is_sound(signal: Signal) -> bool:
    bounds = (signal.low, signal.high) == (-1, 1)
    return signal.axes == ("time",) and signal.channels == 1 and signal.levels is None and bounds and signal.sample_rate is not None


def _is_video(signal: Signal) -> bool:
    return signal.axes == ("time", "height", "width") and signal.levels == 256 and signal.channels in (1, 3)


def _read_picture(path: Path, signal: Signal, bounds: Bounds = None) -> Iterator[Tensor]:
    if path.suffix.lower() in READABLE:
        yield from read_examples(path, signal, bounds)
        return
    yield torch.from_numpy(read_image(path, channels=signal.channels, levels=signal.levels or 256, bounds=bounds))[None]


def _write_picture(path: Path, blocks: Blocks, signal: Signal) -> None:
    pixels = whole(blocks)[0].numpy()
    write_png_rows(path, [pixels], pixels.shape[1:], signal.levels or 256)


def _read_sound(path: Path, signal: Signal, bounds: Bounds = None) -> Iterator[Tensor]:
    return (torch.from_numpy(block)[None, None] for block in audio_blocks(path, sample_rate_of(signal)))


def _write_sound(path: Path, blocks: Blocks, signal: Signal) -> None:
    write_audio(path, (block[0, 0].numpy() for block in blocks), sample_rate_of(signal))


def _read_clip(path: Path, signal: Signal, bounds: Bounds = None) -> Iterator[Tensor]:
    if path.suffix.lower() in READABLE:
        yield from read_examples(path, signal, bounds)
        return
    rate = other_frame_rate(path, signal)
    yield torch.from_numpy(read_video(path, channels=signal.channels, frame_rate=rate).frames).transpose(0, 1)[None]


def _write_clip(path: Path, blocks: Blocks, signal: Signal) -> None:
    write_video(path, whole(blocks)[0].transpose(0, 1).numpy(), signal.sample_rate or FRAME_RATE)


def _near_clip(made: Tensor, original: Tensor, signal: Signal) -> float:
    return float(psnr(made[0].transpose(0, 1), original[0].transpose(0, 1), (signal.levels or 256) - 1).mean())


def _near_sound(made: Tensor, original: Tensor, signal: Signal) -> float:
    return float(log_mel_distance(original[0], made[0], sample_rate_of(signal)))


def _near_array(made: Tensor, original: Tensor, signal: Signal) -> float:
    return float((exact(made) - exact(original)).square().mean().sqrt())


PICTURES = Kind(
    name="pictures",
    unit="pixels",
    matches=_is_picture,
    score=score_images,
    suffixes=(".png",),
    inputs=PICTURE_SUFFIXES,
    read=_read_picture,
    write=_write_picture,
    measure="psnr",
    near=lambda made, original, signal: float(psnr(made, original, (signal.levels or 256) - 1).mean()),
    grid=grid,
    pairs=pair_grid,
)
SOUND = Kind(
    name="sound",
    unit="samples",
    matches=_is_sound,
    score=score_sound,
    suffixes=(".wav", ".flac"),
    inputs=SOUND_SUFFIXES,
    read=_read_sound,
    write=_write_sound,
    measure="log_mel_distance",
    near=_near_sound,
    running=lambda signal: RunningLogMelDistance(sample_rate_of(signal)),
)
VIDEO = Kind(
    name="clips",
    unit="frames and pixels",
    matches=_is_video,
    score=score_video,
    suffixes=(".gif", ".mp4", ".webm", ".npy"),
    inputs=(*VIDEO_SUFFIXES, *READABLE),
    read=_read_clip,
    write=_write_clip,
    measure="psnr",
    near=_near_clip,
)
ARRAYS = Kind(
    name="arrays",
    unit="positions",
    matches=lambda signal: True,
    score=score_arrays,
    suffixes=(".npy",),
    inputs=READABLE,
    read=read_examples,
    write=write_examples,
    measure="rmse",
    near=_near_array,
)
KINDS = (PICTURES, SOUND, VIDEO, ARRAYS)
