"""Sounds of a report, in rows to compare. Each has a player, and below it a waveform, a spectrogram and codes."""

import base64
import io
from collections.abc import Sequence
from contextlib import suppress
from html import escape
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt8
from PIL import Image
from torch import Tensor

from vqvae.errors import DataError
from vqvae.reports.colours import code_colours
from vqvae.reports.waves import audio_player, error_spectrogram, spectrogram, wave_line

_MOST_BOOKS = 8


class Sound(NamedTuple):
    """A sound to play."""

    title: str
    samples: Float[Tensor, " time"]
    """In [-1, 1]."""
    sample_rate: int
    """In Hz."""
    codes: Integer[Tensor, "codebooks positions"] | None = None
    """The codes that it was decoded from, or encoded to."""
    codebook_size: int = 1
    original: Float[Tensor, " time"] | None = None
    """The sound that it should equal, of the same length. The difference is drawn below."""


class Row(NamedTuple):
    """Sounds side by side."""

    title: str
    sounds: tuple[Sound, ...]


def picture(pixels: UInt8[np.ndarray, "height width 3"], said: str, style: str = "", zoom: int = 1) -> str:
    """An HTML image that contains its pixels, at ``zoom`` times its size. A screen reader says ``said``."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    height, width = pixels.shape[:2]
    looks = f' class="{style}"' if style else ""
    return (
        f'<img{looks} width="{zoom * width}" height="{zoom * height}" alt="{escape(said)}" '
        f'src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'
    )


def sound_rows(rows: Sequence[Row]) -> str:
    """The rows as HTML. On a narrow screen, the sounds of a row stand below each other."""
    return "".join(f'<h3>{escape(row.title)}</h3><div class="sounds">{"".join(map(_column, _scaled(row.sounds)))}</div>' for row in rows)


def _scaled(sounds: Sequence[Sound]) -> list[tuple[Sound, float]]:
    """Each sound with the common peak of the row."""
    peak = max((float(one.samples.abs().max()) for one in sounds if len(one.samples)), default=0.0) or 1.0
    return [(one, peak) for one in sounds]


def _column(given: tuple[Sound, float]) -> str:
    sound, peak = given
    parts = [f"<figcaption>{escape(sound.title)}</figcaption>", audio_player(sound.samples, sound.sample_rate, sound.title)]
    if len(sound.samples):
        seconds = len(sound.samples) / sound.sample_rate
        parts.append(wave_line(sound.samples, peak, f"waveform, {sound.title}, {seconds:.2f} s"))
        parts += _drawn(sound, seconds)
    return f'<figure class="sound">{"".join(parts)}</figure>'


def _drawn(sound: Sound, seconds: float) -> list[str]:
    parts = []
    with suppress(DataError):  # The sound is too short for a spectrogram.
        parts.append(picture(spectrogram(sound.samples, sound.sample_rate), f"spectrogram, {sound.title}", "strip"))
    if sound.codes is not None and sound.codes.numel():
        shown = code_colours(sound.codes[:_MOST_BOOKS].cpu().numpy(), sound.codebook_size)
        parts.append(picture(np.ascontiguousarray(shown), f"codes, {sound.title}", "codes"))
    if sound.original is not None:
        with suppress(DataError):
            error = error_spectrogram(sound.samples, sound.original, sound.sample_rate)
            parts.append(picture(error, f"error over time and frequency, {sound.title}", "strip"))
    count = "" if sound.codes is None else f", {sound.codes.shape[1]} codes"
    return [*parts, f"<small>{seconds:.2f} s{count}</small>"]
