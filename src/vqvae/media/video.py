"""Video files to frames, and back; the only importer of PyAV. GIF files need only Pillow."""

import itertools
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import IO, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from vqvae.disk import atomic, check_plain, explained, user_path
from vqvae.errors import ConfigError, DataError, MissingExtraError, VqvaeError
from vqvae.media.gifs import gif_pictures, shown_times, write_gif
from vqvae.media.images import cut, target_size
from vqvae.media.pictures import MOST_PIXELS, decoding, to_eight_bits

# FFmpeg's names of the formats. Without a name, FFmpeg guesses the format from the contents, and some formats open other files.
_DEMUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "matroska", ".mkv": "matroska", ".avi": "avi"}
SUFFIXES = (*_DEMUXERS, ".gif")
"""The suffixes of video files, in lower case."""
WRITTEN = (".mp4", ".webm", ".gif", ".png", ".npy")
"""The suffixes of files that ``write_video`` writes."""
MOST_BYTES = 2**32
"""The largest size of the frames that ``read_video`` returns, in bytes."""
_CODECS = {".mp4": ("libx264", {"crf": "16"}), ".webm": ("libvpx-vp9", {"crf": "18", "b": "0"})}
_LOOKED_AT = 32
"""Number of frames that are timed to check the frame rate in the header."""
_GAP = 2
"""Pixels between two frames of a strip."""
_TOLERANCE = 0.3
"""Allowed difference between the time from one frame to the next and its mean, relative to the mean."""
_ROUNDED = 0.0015
"""The largest rounding error of a time, in seconds. Some formats round to milliseconds."""


class Video(NamedTuple):
    """A decoded video."""

    frames: UInt8[np.ndarray, "time channels height width"]
    frame_rate: float
    """Frames per second."""


def read_video(path: Path | str, size: int | tuple[int, int] | None = None, *, channels: int = 3, frame_rate: float | None = None) -> Video:
    """All frames of a video file; see ``video_frames``.

    Raises:
        DataError: as in ``video_frames``, or if the frames take more than 4 GiB of memory.
        MissingExtraError: if PyAV is not installed and the file is no GIF.
    """
    frames: list[np.ndarray] = []
    taken = 0
    for frame in video_frames(path, size, channels=channels, frame_rate=frame_rate):
        frames.append(frame)
        taken += frame.nbytes
        if taken > MOST_BYTES:
            raise DataError(f"{path} has more than {MOST_BYTES / 2**30:g} GiB of frames. Give a smaller size, or cut the video.")
    return Video(np.stack(frames), frame_rate or frame_rate_of(path))


def frame_rate_of(path: Path | str) -> float:
    """Frames per second of a video file.

    Raises:
        DataError: if the file cannot be decoded or has no frames.
        MissingExtraError: if PyAV is not installed and the file is no GIF.
    """
    path = user_path(path, DataError)
    with _opened(path) as file, decoding(path):
        return shown_times(file, path)[0] if _suffix(path) == ".gif" else _rate(file, path)


def video_frames(
    path: Path | str, size: int | tuple[int, int] | None = None, *, channels: int = 3, frame_rate: float | None = None
) -> Iterator[UInt8[np.ndarray, "channels height width"]]:
    """The frames of an MP4, MOV, WebM, MKV, AVI or GIF file, one by one, upright. Memory use does not depend on the length.

    Args:
        path: the file.
        size: height and width in pixels; one number for a square. The largest part of this shape is cut out and resized. If omitted,
            frames keep their size.
        channels: 3 for RGB, 1 for greys.
        frame_rate: frames per second to return. Frames are repeated or skipped as needed. Default: all frames of the file.

    Raises:
        ConfigError: if ``size``, ``channels`` or ``frame_rate`` is out of range.
        DataError: if the file is missing, cannot be decoded, has no frames, has frames that are too large, changes its size midway, or
            changes its frame rate midway and ``frame_rate`` is omitted.
        MissingExtraError: if PyAV is not installed and the file is no GIF.
    """
    path = user_path(path, DataError)
    if channels not in (1, 3):
        raise ConfigError(f"channels is {channels}; expected 1 for greys or 3 for RGB.")
    if frame_rate is not None and not 0 < frame_rate <= 1000:
        raise ConfigError(f"frame_rate is {frame_rate}; it must be above 0 and at most 1000.")
    wanted = None if size is None else target_size(size)
    with _opened(path) as file, decoding(path):
        rate, timed = _timed(file, path, is_strict=frame_rate is None)
        for picture in _sampled(_of_one_size(timed, path), rate, frame_rate):
            shape = wanted or picture.size[::-1]
            eight_bits = to_eight_bits(picture, channels)
            pixels = np.asarray(cut(eight_bits, shape))
            yield np.ascontiguousarray(pixels.reshape(*shape, channels).transpose(2, 0, 1))


def write_video(path: Path | str, frames: Iterable[np.ndarray], frame_rate: float) -> None:
    """Write frames to a file, in the format of its suffix. The file is written completely or not at all.

    Args:
        path: a .mp4, .webm or .gif file; .png for a strip with the frames from left to right; .npy for an array (time, channels, height,
            width). MP4 and WebM need an even height and width: odd ones gain a row or column, a copy of the last one.
        frames: uint8 (channels, height, width) each, all of one size, with 1 channel for greys or 3 for RGB; or one array (time, channels,
            height, width).
        frame_rate: frames per second. Strips and arrays do not keep it.

    Raises:
        ConfigError: if the suffix is another one, or the rate is not positive.
        DataError: if there are no frames, they differ in size, or the file cannot be written.
        MissingExtraError: if PyAV is not installed and the file is a .mp4 or .webm.
    """
    path = user_path(path, DataError)
    suffix = _suffix(path)
    if suffix not in WRITTEN:
        raise ConfigError(f"{path} has the suffix {suffix!r}; videos are written as {', '.join(WRITTEN)}.")
    if not 0 < frame_rate <= 1000:
        raise ConfigError(f"frame_rate is {frame_rate}; it must be above 0 and at most 1000.")
    checked = _checked(frames)
    with atomic(path, DataError, "Choose another place.") as partial:
        if suffix in _CODECS:
            with _explained(path):
                _encode(partial, checked, frame_rate)
        elif suffix == ".gif":
            write_gif(partial, [_picture(frame) for frame in checked], frame_rate)
        elif suffix == ".png":
            _strip(list(checked)).save(partial, format="PNG")
        else:
            np.save(partial, np.stack(list(checked)), allow_pickle=False)


def _suffix(path: Path) -> str:
    return path.suffix.lower()


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if _suffix(path) not in SUFFIXES:
        raise DataError(f"{path} is no video file by its name; {', '.join(SUFFIXES)} are read.")
    with explained(DataError, path, "cannot be read", "Give the path of a video file."):
        check_plain(path)
        file = path.open("rb")
    with file:
        yield file


def pyav() -> ModuleType:
    """The package PyAV.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video") from error
    return av


@contextmanager
def _container(file: IO[bytes], path: Path) -> Iterator[Any]:
    """Open a file with FFmpeg, and turn its errors into a DataError."""
    av = pyav()
    try:
        with av.open(file, format=_DEMUXERS[_suffix(path)], metadata_errors="ignore") as container:
            yield container
    except VqvaeError:
        raise
    except Exception as error:  # Damage raises many kinds of errors. Only FFmpeg's messages help users.
        reason = f" ({error.strerror.lower()})" if isinstance(error, av.error.FFmpegError) and error.strerror else ""
        advice = "It may be damaged, cut short, or of another format than its name says."
        raise DataError(f"{path} cannot be decoded{reason}. {advice}") from error


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn FFmpeg's errors while it writes into a DataError."""
    av = pyav()
    try:
        yield
    except av.error.FFmpegError as error:
        advice = "The frames may be too large for this format; .npy holds frames of any size."
        raise DataError(f"{path} cannot be written as a video. {advice}") from error


class _Timed(NamedTuple):
    """A picture, and its time in seconds after the first one."""

    time: float
    picture: Image.Image


def _timed(file: IO[bytes], path: Path, *, is_strict: bool) -> tuple[float, Iterator[_Timed]]:
    """Frames per second, and the pictures of a file, which has at least one."""
    if _suffix(path) == ".gif":
        rate, counts = shown_times(file, path)
        repeated = (picture for picture, count in zip(gif_pictures(file, path), counts, strict=True) for _ in range(count))
        return rate, (_Timed(number / rate, picture) for number, picture in enumerate(repeated))
    rate = _rate(file, path)
    file.seek(0)
    timed = _decoded(file, path)
    return rate, _steady(timed, rate, path) if is_strict else timed


def _rate(file: IO[bytes], path: Path) -> float:
    """Frames per second: the rate in the header if the first frames have it, otherwise the measured rate."""
    times = [timed.time for timed in itertools.islice(_decoded(file, path), _LOOKED_AT)]
    file.seek(0)
    with _container(file, path) as container:
        said = container.streams.video[0].average_rate
    measured = (len(times) - 1) / (times[-1] - times[0]) if times[-1] > times[0] else None
    if measured is None:
        return float(said) if said else 1.0
    return float(said) if said and abs(float(said) / measured - 1) < 0.02 else measured


def _decoded(file: IO[bytes], path: Path) -> Iterator[_Timed]:
    """The pictures of a file that FFmpeg reads.

    Raises:
        DataError: if there is none, or they are too large.
    """
    first: float | None = None
    with _container(file, path) as container:
        if not container.streams.video:
            raise DataError(f"{path} has no video in it. Give a file with video.")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        _check_size(path, stream.codec_context.width, stream.codec_context.height)
        for number, frame in enumerate(container.decode(stream)):
            first = frame.time or 0.0 if first is None else first
            _check_size(path, frame.width, frame.height)
            picture = frame.to_image()
            turned = picture.rotate(frame.rotation, expand=True) if frame.rotation else picture
            yield _Timed((frame.time if frame.time is not None else number / 25) - first, turned)
    if first is None:
        raise DataError(f"{path} has no frames. It may be cut short.")


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MOST_PIXELS:
        raise DataError(f"{path} has frames of {width} x {height} pixels, and at most {MOST_PIXELS:,} are read. Make it smaller.")


def _of_one_size(timed: Iterator[_Timed], path: Path) -> Iterator[_Timed]:
    """The same pictures, after a check that their size never changes."""
    size: tuple[int, int] | None = None
    for number, one in enumerate(timed):
        size = size or one.picture.size
        if one.picture.size != size:
            (width, height), now = size, one.picture.size
            raise DataError(
                f"{path} changes its size at frame {number}, from {width} x {height} to {now[0]} x {now[1]} pixels. Cut it there, or "
                "convert it to one size."
            )
        yield one


def _steady(timed: Iterator[_Timed], rate: float, path: Path) -> Iterator[_Timed]:
    """The same pictures, after a check that the time between them never changes."""
    before = None
    for number, one in enumerate(timed):
        if before is not None and abs(one.time - before - 1 / rate) > max(_TOLERANCE / rate, _ROUNDED):
            raise DataError(
                f"{path} changes its frame rate at frame {number}: {1000 * (one.time - before):.0f} ms after {1000 / rate:.0f} ms. "
                "Convert it to a constant rate. For training, you can instead set the rate to read it at: --data.frame-rate"
            )
        before = one.time
        yield one


def _sampled(timed: Iterator[_Timed], rate: float, wanted: float | None) -> Iterator[Image.Image]:
    """All pictures, or those shown at each multiple of 1 / ``wanted`` seconds."""
    if wanted is None:
        yield from (one.picture for one in timed)
        return
    taken, shown, before, end = 0, None, 0.0, 0.0
    slack = min(_ROUNDED, 0.1 / wanted)
    for one in timed:
        while shown is not None and taken / wanted < one.time - slack:
            yield shown
            taken += 1
        length = one.time - before if shown is not None else 1 / rate
        shown, before, end = one.picture, one.time, one.time + length
    while shown is not None and taken / wanted < end - slack:
        yield shown
        taken += 1


def _checked(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The same frames, after a check of their type and size, and that there is one."""
    shape: tuple[int, ...] | None = None
    for number, frame in enumerate(frames):
        if not isinstance(frame, np.ndarray):
            raise DataError(f"Frame {number} of a video is a {type(frame).__name__}; expected an array of uint8.")
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[0] not in (1, 3) or frame.shape != shape or 0 in shape:
            raise DataError(
                f"Frame {number} of a video is {frame.dtype} {frame.shape}; uint8 with 1 or 3 channels, height and width is expected, like "
                f"the first, {shape}."
            )
        yield frame
    if shape is None:
        raise DataError("There are no frames to write. Give at least one.")


def _picture(frame: np.ndarray) -> Image.Image:
    return Image.fromarray(frame[0] if len(frame) == 1 else np.ascontiguousarray(frame.transpose(1, 2, 0)))


def _strip(frames: list[np.ndarray]) -> Image.Image:
    """The frames from left to right."""
    gap = np.full((*frames[0].shape[:2], _GAP), 255, np.uint8)
    parts = [part for frame in frames for part in (gap, frame)][1:]
    return _picture(np.concatenate(parts, 2))


def _encode(path: Path, frames: Iterator[np.ndarray], frame_rate: float) -> None:
    av = pyav()
    codec, options = _CODECS[_suffix(path)]
    with av.open(os.fspath(path), "w", format=_suffix(path)[1:]) as container:
        stream: Any = None
        for frame in frames:
            _, height, width = frame.shape
            even = np.pad(frame, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
            if stream is None:
                rate = Fraction(frame_rate).limit_denominator(1001)
                stream = container.add_stream(codec, rate=rate, width=even.shape[2], height=even.shape[1], pix_fmt="yuv420p")
                stream.options = options
            container.mux(stream.encode(av.VideoFrame.from_image(_picture(even).convert("RGB"))))
        container.mux(stream.encode())
