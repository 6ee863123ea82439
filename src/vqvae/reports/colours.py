"""Colours for numbers and for codes, as uint8 RGB arrays."""

import colorsys

import numpy as np
from jaxtyping import Float, Integer, UInt8

_ANCHORS = np.array([[0, 0, 0], [48, 18, 96], [148, 38, 112], [228, 92, 60], [248, 184, 64], [255, 255, 224]], np.float64)
"""Colours from the lowest to the highest value, of steadily growing lightness."""
_GOLDEN = 0.61803398875


def heat(levels: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape rgb"]:
    """Numbers from 0 (black) to 1 (bright yellow). Numbers outside are clipped."""
    places = levels.clip(0, 1) * (len(_ANCHORS) - 1)
    colours = np.stack([np.interp(places, np.arange(len(_ANCHORS)), channel) for channel in _ANCHORS.T], axis=-1)
    return np.rint(colours).astype(np.uint8)


def code_colours(codes: Integer[np.ndarray, "*shape"], codebook_size: int) -> UInt8[np.ndarray, "*shape rgb"]:
    """Each code in its own colour. Neighbouring numbers get distant hues."""
    rows = [
        colorsys.hsv_to_rgb(code * _GOLDEN % 1, (0.75, 0.5, 0.9)[code % 3], (0.95, 0.8, 0.6)[code // 3 % 3])
        for code in range(codebook_size)
    ]
    return np.rint(np.array(rows).reshape(codebook_size, 3) * 255).astype(np.uint8)[codes]
