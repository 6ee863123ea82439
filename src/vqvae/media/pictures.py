"""An opened picture file: upright, and read window by window if it is too large to convert as a whole."""

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer
from PIL import Image
from PIL.ImageFile import ImageFile

from vqvae.errors import DataError, VqvaeError
from vqvae.media.deep import deep_pixels, has_deep_colours, low_bytes
from vqvae.media.formats import NAMES, Format, format_of
from vqvae.media.metadata import turn_of, without_metadata

MOST_PIXELS = 180_000_000
"""Larger pictures are refused: decoded, they take 4 bytes a pixel."""
DRAFT = 4
"""A JPEG is decoded at this many times the size that is needed. At 4, the resized picture is within 52 dB of the one from all pixels, which
is invisible, and decoding is two to four times as fast."""
_MOST_DEFLATED = 1032
"""The most bytes that one byte of a PNG can expand to (zlib's technical details)."""


_BITS = 258  # TIFF's tag BitsPerSample.
_DARK = 2**13  # A deep picture below this has at most 32 of 256 greys.
_log = logging.getLogger(__name__)


class Box(NamedTuple):
    """A part of an upright picture, in pixels: the first row and column, and those after the last."""

    top: int
    left: int
    bottom: int
    right: int


class Picture:
    """A decoded picture file."""

    def __init__(
        self,
        image: Image.Image,
        turn: Image.Transpose | None,
        path: Path | str,
        depth: int = 8,
        low: Image.Image | None = None,
        is_deep: bool = False,
    ) -> None:
        """Take the pixels as they are stored.

        Args:
            image: the pixels. Of colours with 16 bits, the high bytes.
            turn: what turns them upright.
            path: the file, or a name for messages.
            depth: the bits per channel of the file, if the format says.
            low: the low bytes of colours with 16 bits; see ``vqvae.media.deep``.
            is_deep: whether the file has colours of 16 bits that can be read.
        """
        self.image, self.path, self._turn, self._depth, self._low, self._is_deep = image, path, turn, depth, low, is_deep

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the upright picture, in pixels."""
        width, height = self.image.size
        return (width, height) if self._turn in _SWAPPING else (height, width)

    @property
    def channels(self) -> int:
        """1 for greys, 3 for colours. Transparency is no channel."""
        palette = np.asarray(self.image.getpalette("RGB") or [0, 1, 2]).reshape(-1, 3)
        is_grey = self.image.mode in _GREYS or self.image.mode.startswith("I") or bool((palette == palette[:, :1]).all())
        return 1 if is_grey else 3

    @property
    def levels(self) -> int | None:
        """256, or 65,536 for more than 8 bits; None for floats."""
        return None if self.image.mode == "F" else 65_536 if self.image.mode.startswith("I") or self._is_deep else 256

    def check_depth(self, levels: int) -> None:
        """Check that this many levels suit the file. Log a warning, once, if few greys remain of a deep picture.

        Raises:
            DataError: if 65,536 levels are asked for, and the file has colours of more than 8 bits that cannot be read.
        """
        tag = getattr(self.image, "tag_v2", {}).get(_BITS, (8,))
        bits = max(tag) if isinstance(tag, tuple) and tag else 8
        if levels > 256 and self.levels == 256 and max(bits, self._depth) > 8:
            raise DataError(
                f"{self.path} cannot be decoded with {levels} levels: of its colours with more than 8 bits, only 8 can be read. Save it as "
                "an RGB PNG or TIFF with 16 bits per channel, channels side by side and alpha not premultiplied, or use 256 levels."
            )
        if levels == 256 and self.levels == 65_536:
            values = np.asarray(self.image)
            high = 256 * int(values[..., :3].max()) + 255 if self._is_deep else int(values.max())
            if high < _DARK:
                _warn_of_dark(str(self.path), high)

    def upright(self, box: Box | None = None, of: Image.Image | None = None) -> Image.Image:
        """The whole picture, or a part of it, in the mode of the file. ``of`` is other pixels that are stored alike."""
        stored = self.image if of is None else of
        part = stored if box is None else stored.crop(self._stored(box))
        return part if self._turn is None else part.transpose(self._turn)

    def read(
        self, box: Box | None = None, channels: int = 3, levels: int = 256, bounds: tuple[float, float] | None = None
    ) -> Integer[np.ndarray, "channels height width"]:
        """A part of the picture, or all of it, in other levels and channels; see ``read_image``."""
        with decoding(self.path):
            if levels > 256 and self._low is not None:
                parts = self.upright(box), self.upright(box, self._low)
                return deep_pixels(*parts, channels, self.image.info.get("transparency"))
            return pixels_of(self.upright(box), channels, levels, bounds)

    def _stored(self, box: Box) -> tuple[int, int, int, int]:
        """Where a part of the upright picture is stored: left, top, right, bottom."""
        (width, height), (top, left, bottom, right) = self.image.size, box
        if self._turn is None:
            return left, top, right, bottom
        flip = Image.Transpose
        return {
            flip.FLIP_LEFT_RIGHT: (width - right, top, width - left, bottom),
            flip.ROTATE_180: (width - right, height - bottom, width - left, height - top),
            flip.FLIP_TOP_BOTTOM: (left, height - bottom, right, height - top),
            flip.TRANSPOSE: (top, left, bottom, right),
            flip.ROTATE_270: (top, height - right, bottom, height - left),
            flip.TRANSVERSE: (width - bottom, height - right, width - top, height - left),
            flip.ROTATE_90: (width - bottom, left, width - top, right),
        }[self._turn]


_SAID: set[str] = set()


def _warn_of_dark(path: str, high: int) -> None:
    if not _SAID:
        _log.warning(
            "%s has 16 bits per channel, but no value above %d of 65,535. With 256 levels, %d remain; 65,536 levels keep all.",
            *(path, high, high // 257 + 1),
        )
        _SAID.add(path)


_GREYS = ("1", "L", "LA", "La", "F")
_SWAPPING = (Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90)


def open_picture(path: Path | str, least: tuple[int, int] | None = None, levels: int = 256, content: bytes | None = None) -> Picture:
    """Decode a picture file. Damaged metadata is ignored.

    Args:
        path: the file.
        least: a height and a width in pixels. A JPEG may come smaller than it is, but not below these; see ``DRAFT``.
        levels: 65,536 keeps all of colours with 16 bits, which takes a second decoding.
        content: the bytes of the file, if it lies in another file. ``path`` is then only a name for messages.

    Raises:
        DataError: if the file cannot be read, is damaged, has more than ``MOST_PIXELS`` pixels, or is of another format.
    """
    with _opened(Path(path)) if content is None else io.BytesIO(content) as file, decoding(path):
        start = file.read(25)
        kind = format_of(start[:16])
        if kind is None:
            raise DataError(f"{path} cannot be decoded: not a {NAMES} image.")
        depth = start[24] if kind.name == "PNG" and len(start) > 24 else 8
        try:
            image, low, is_deep = _decoded(kind, file, path, least, levels)
            return Picture(image, turn_of(image.info), path, depth, low, is_deep)
        except DataError:
            raise
        except Exception:
            file.seek(0)
            data = file.read()
            clean, exif = without_metadata(data)
            if len(clean) == len(data):
                raise
        image, low, is_deep = _decoded(kind, io.BytesIO(clean), path, least, levels)
        return Picture(image, turn_of({"exif": exif}), path, depth, low, is_deep)


class Header(NamedTuple):
    """The header of a picture file, known before its pixels are decoded."""

    size: tuple[int, int]
    """Height and width of the upright picture, in pixels."""
    channels: int
    """1 for greys, 3 for colours."""
    levels: int | None
    """256, or 65,536 for more than 8 bits; None for floats."""


def read_header(path: Path | str, content: bytes | None = None) -> Header:
    """Read the header of a picture file.

    Args:
        path: the file.
        content: the bytes of the file, if it lies in another file. ``path`` is then only a name for messages.

    Raises:
        DataError: if the file cannot be read, or it is of another format.
    """
    with _opened(Path(path)) if content is None else io.BytesIO(content) as file, decoding(path):
        kind = format_of(file.read(16))
        if kind is None:
            raise DataError(f"{path} cannot be decoded: not a {NAMES} image.")
        file.seek(0)
        image = kind.open(file)
        picture = Picture(image, turn_of(image.info), path, is_deep=has_deep_colours(image))
        return Header(picture.size, picture.channels, picture.levels)


@contextmanager
def decoding(path: Path | str) -> Iterator[None]:
    """Turn any error of a decoder (SyntaxError, struct.error, ...) into a DataError: the file is bad."""
    try:
        yield
    except VqvaeError:
        raise
    except MemoryError as error:
        raise DataError(f"{path} cannot be decoded: it takes more memory than there is.") from error
    except Exception as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise DataError(f"{path} cannot be decoded: {reason}.") from error


def pixels_of(
    image: Image.Image, channels: int, levels: int, bounds: tuple[float, float] | None = None
) -> Integer[np.ndarray, "channels height width"]:
    """Pixels of any mode as whole numbers below ``levels``: uint8, or int32 for 65,536 levels; see ``read_image``."""
    if levels == 256:
        return _channels_first(np.asarray(to_eight_bits(image, channels, bounds)))
    if image.mode == "F" or image.mode.startswith("I"):
        grey = _scaled(_deep_values(image), image.mode, bounds, levels).astype(np.int32)
        return np.repeat(grey[None], channels, 0)
    # 255 * 257 = 65535: white stays white.
    return _channels_first(np.asarray(to_eight_bits(image, channels))).astype(np.int32) * 257


def to_eight_bits(image: Image.Image, channels: int = 3, bounds: tuple[float, float] | None = None) -> Image.Image:
    """Convert any mode to RGB, or to L for one channel. Transparency is laid over white. Deep values are scaled, not clipped.

    Raises:
        ValueError: floats without bounds, or values outside of their range.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        image = Image.fromarray(_scaled(_deep_values(image), image.mode, bounds, 256).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    mode = "L" if channels == 1 else "RGB"
    # From other modes, such as CMYK, Pillow reaches greys by another formula than by way of RGB.
    return image if image.mode == mode else (image if image.mode in ("1", "L") else image.convert("RGB")).convert(mode)


@contextmanager
def _opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """A file. It is decoded as it is read: a large one is never in memory as a whole."""
    try:
        if path.exists() and not path.is_file():
            raise DataError(f"{path} cannot be read: it is not a file.")
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


def _draft(image: ImageFile, least: tuple[int, int]) -> None:
    """Have a JPEG decoded smaller, by 2, 4 or 8, while it stays ``DRAFT`` times as large as what it is resized to."""
    height, width = least[::-1] if turn_of(image.info) in _SWAPPING else least
    image.draft(None, (DRAFT * width, DRAFT * height))


def _decoded(
    kind: Format, file: io.BufferedIOBase, path: Path | str, least: tuple[int, int] | None, levels: int
) -> tuple[ImageFile, Image.Image | None, bool]:
    """The decoded first picture of a file, its low bytes if more than 256 levels need them, and whether it has deep colours."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    image = kind.open(file)
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise DataError(
            f"{path} cannot be decoded: it has {width} x {height} pixels, and at most {MOST_PIXELS:,} are read. Make it smaller."
        )
    # A header can promise more than the file can hold; that must be known before memory is taken for it.
    if kind.name == "PNG" and width * height // 8 > _MOST_DEFLATED * size:
        raise DataError(f"{path} cannot be decoded: it is cut short.")
    if least is not None and kind.name == "JPEG":
        _draft(image, least)
    is_deep = has_deep_colours(image)
    image.load()
    image.fp = None  # Its caller closes it.
    if not is_deep or levels <= 256:
        return image, None, is_deep
    file.seek(0)
    return image, low_bytes(kind.open(file)), is_deep


def _deep_values(image: Image.Image) -> Float[np.ndarray, "height width"]:
    """The values of a grey picture of more than 8 bits. The one that stands for transparency becomes white."""
    values = np.asarray(image).astype(np.float64)
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        values[values == clear] = 65_535
    return values


def _scaled(
    values: Float[np.ndarray, "height width"], mode: str, bounds: tuple[float, float] | None, levels: int
) -> Float[np.ndarray, "height width"]:
    """Values from ``bounds`` as levels from 0. Without bounds, integers range to 65,535."""
    if bounds is None and mode == "F":
        raise ValueError(f"it holds floats, from {np.nanmin(values):g} to {np.nanmax(values):g}, without a stated range. {_STATE_BOUNDS}")
    low, high = bounds or (0, 65_535)
    # NaN compares false, too.
    if values.size and not low <= values.min() <= values.max() <= high:
        raise ValueError(f"it holds values from {values.min():g} to {values.max():g}, outside of {low:g} to {high:g}. {_STATE_BOUNDS}")
    return np.rint((values - low) * ((levels - 1) / (high - low)))


_STATE_BOUNDS = "Give the range (--bounds LOW HIGH; in training --data.bounds LOW HIGH), or save the picture with 8 or 16 bits"


def _channels_first(pixels: np.ndarray) -> np.ndarray:
    return pixels[None].copy() if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))
