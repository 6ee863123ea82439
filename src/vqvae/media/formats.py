"""The table of picture formats that can be read."""

import re
from collections.abc import Callable
from typing import NamedTuple

from PIL import AvifImagePlugin, BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin
from PIL.ImageFile import ImageFile

from vqvae.media.metadata import ORIENTATION


class _Tiff(TiffImagePlugin.TiffImageFile):
    """Pillow reads all metadata of a TIFF after its pixels, and turns it upright. Damaged metadata must not stop it."""

    def getexif(self) -> Image.Exif:
        """Only the orientation."""
        exif = Image.Exif()
        turned = self.tag_v2.get(ORIENTATION)
        if isinstance(turned, int):
            exif[ORIENTATION] = turned
        return exif


class Format(NamedTuple):
    """One format of picture files."""

    name: str
    suffixes: tuple[str, ...]
    start: bytes
    """A pattern that the first bytes of every such file match."""
    open: Callable[..., ImageFile]
    """Pillow's reader of an open file. Of several pictures in one file, it gives the first."""


# A closed list: a file that is called .png but holds, say, PostScript must not start an interpreter. Pillow's readers are called by
# name because Image.open follows a JPEG's metadata into another format.
FORMATS = (
    Format("PNG", (".png",), rb"\x89PNG\r\n\x1a\n", PngImagePlugin.PngImageFile),
    Format("JPEG", (".jpg", ".jpeg"), rb"\xff\xd8\xff", JpegImagePlugin.JpegImageFile),
    Format("WebP", (".webp",), rb"RIFF....WEBP", WebPImagePlugin.WebPImageFile),
    Format("BMP", (".bmp",), rb"BM", BmpImagePlugin.BmpImageFile),
    Format("TIFF", (".tif", ".tiff"), rb"II[*+]\0|MM\0[*+]", _Tiff),
    Format("GIF", (".gif",), rb"GIF8[79]a", GifImagePlugin.GifImageFile),
    Format("AVIF", (".avif",), rb"....ftyp(avi[fs]|mif1|msf1)", AvifImagePlugin.AvifImageFile),
)
SUFFIXES = tuple(suffix for one in FORMATS for suffix in one.suffixes)
"""The suffixes of picture files, in lower case. Files with other suffixes are ignored."""
NAMES = f"{', '.join(one.name for one in FORMATS[:-1])} or {FORMATS[-1].name}"
"""The formats in words."""


def format_of(start: bytes) -> Format | None:
    """The format of a file, by its first 16 bytes. None if it is none of these."""
    return next((one for one in FORMATS if re.match(one.start, start, re.DOTALL)), None)
