"""Short animations that repeat, and their HTML without scripts. Readers who ask for less motion see a still picture."""

import base64
import io
from collections.abc import Mapping
from html import escape
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Integer, UInt8
from PIL import Image, features
from torch import Tensor

from vqvae.reports.grids import as_bytes

RATE = 5.0
"""Frames per second, slow enough to follow. The frame rate of the data does not matter."""
REAL, MADE = (128, 128, 128), (217, 119, 43)
"""Colours of the borders of real frames and of imagined ones."""
BORDER = 2
_ROOM, _MOST_ZOOM = 200, 8


class Animation(NamedTuple):
    """An encoded animation."""

    content: bytes
    """The file."""
    suffix: str
    """".webp", or ".gif" if Pillow cannot write WebP."""
    width: int
    height: int
    still: bytes
    """The first frame as a PNG file."""


def marked(frames: Integer[Tensor, "time channels height width"], real: int) -> UInt8[Tensor, "time 3 marked_height marked_width"]:
    """Frames with a border of 2 pixels: grey around the first ``real`` frames, orange around the imagined ones after them.

    Raises:
        DataError: if there are no frames, or they have neither 1 nor 3 channels.
    """
    frames = as_bytes(frames).cpu().expand(-1, 3, -1, -1)
    time, _, height, width = frames.shape
    colours = torch.tensor([REAL if number < real else MADE for number in range(time)], dtype=torch.uint8)
    canvas = colours[:, :, None, None].repeat(1, 1, height + 2 * BORDER, width + 2 * BORDER)
    canvas[:, :, BORDER:-BORDER, BORDER:-BORDER] = frames
    return canvas


def animate(frames: UInt8[Tensor, "time 3 height width"]) -> Animation:
    """Encode frames as a loop, without loss if Pillow can write WebP."""
    first, *rest = [Image.fromarray(np.ascontiguousarray(frame.permute(1, 2, 0).numpy())) for frame in frames]
    kind = "WEBP" if features.check("webp") else "GIF"
    moving, still = io.BytesIO(), io.BytesIO()
    first.save(moving, format=kind, save_all=True, append_images=rest, duration=round(1000 / RATE), loop=0, lossless=True)
    first.save(still, format="PNG", optimize=True)
    return Animation(moving.getvalue(), f".{kind.lower()}", *first.size, still.getvalue())


def loop_row(loops: Mapping[str, Animation], words: str) -> str:
    """Animations side by side as HTML, each above its name. Small ones are enlarged. ``words`` describe all of them."""
    return f'<div class="loops">{"".join(_loop(name, loop, words) for name, loop in loops.items())}</div>'


def _loop(name: str, loop: Animation, words: str) -> str:
    zoom = min(_MOST_ZOOM, max(1, _ROOM // loop.width))
    return (
        f'<figure class="loop"><picture><source media="(prefers-reduced-motion: reduce)" srcset="{_inside(loop.still, "png")}">'
        f'<img width="{zoom * loop.width}" height="{zoom * loop.height}" alt="{escape(f"{name}. {words}".strip())}" '
        f'src="{_inside(loop.content, loop.suffix[1:])}"></picture><figcaption>{escape(name)}</figcaption></figure>'
    )


def _inside(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
