"""From any image file to a square of RGB bytes: one rule, so that a picture is the same at training and at use."""

from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from vqvae.disk import atomic
from vqvae.errors import CheckpointError, DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
"""What counts as an image file, in any case; files with other suffixes are ignored."""
# A closed list: a file that is called .png but holds, say, PostScript must not start an interpreter.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


def read_image(path: Path, size: int | None = None) -> UInt8[np.ndarray, "3 height width"]:
    """Decode one file: upright, RGB, and, with a ``size``, the centre square resized to ``size`` by ``size``.

    Raises:
        DataError: the file cannot be read, is cut short, or is not a PNG, JPEG, WebP or BMP.
    """
    try:
        with Image.open(path, formats=_FORMATS) as image:
            rgb = to_rgb(ImageOps.exif_transpose(image))
        # Pillow's decoders raise whatever they stumble over (SyntaxError, struct.error, ...): all of it means a bad file.
    except Exception as error:
        reason = "not a PNG, JPEG, WebP or BMP image" if type(error) is Image.UnidentifiedImageError else str(error)
        raise DataError(f"{path} cannot be decoded: {reason}.") from error
    return np.ascontiguousarray(np.asarray(rgb if size is None else centre_square(rgb, size)).transpose(2, 0, 1))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode: transparency is laid over white, 16-bit greys are scaled to 8 bits, not clipped."""
    if image.mode.startswith("I"):
        # 65535 / 257 = 255: white stays white.
        levels = np.asarray(image).astype(np.float64) / 257
        image = Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def centre_square(image: Image.Image, size: int) -> Image.Image:
    """Resize the shorter side to ``size`` (antialiased, Lanczos) and keep the centre.

    The square is cut by the resize itself, so a long thin picture costs no more than a square one.
    """
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))


def write_png(path: Path, pixels: UInt8[np.ndarray, "height width 3"]) -> None:
    """Write a picture, whole or not at all; folders on the way are made.

    Raises:
        CheckpointError: the place cannot be written.
    """
    with atomic(path, CheckpointError) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
