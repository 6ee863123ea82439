"""Bits per pixel against PSNR and MS-SSIM, of models and of JPEG, WebP and AVIF."""

import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from vqvae.data.base import Batch
from vqvae.evaluation.images.multiscale import ms_ssim
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.evaluation.rates.curves import Measured, Point, cheapest, mean_point, nearest_point
from vqvae.evaluation.rates.general import CodeBits
from vqvae.media.lossy import lossy_picture, picture_codecs
from vqvae.pipeline import Pipeline
from vqvae.pipeline.compression import coders_of, modes_of, write_file
from vqvae.reports.grids import labelled_rows

SCORES = ("PSNR", "MS-SSIM")
UNIT = "bits per pixel"
QUALITIES = (0, 2, 5, 8, 12, 16, 20, 25, 30, 40, 50, 60, 70, 80, 90)
"""The qualities of the other codecs."""
SHOWN, SIDE = 4, 128
"""The number of pictures that are shown, and the side of the window of each, in pixels."""


def model_points(model: Pipeline, pictures: Iterable[Tensor]) -> Measured:
    """The points of a model, one for each mode that it has, and the bits per code. The mode with the smallest files is last.

    Args:
        model: a model of pictures.
        pictures: uint8 (1, channels, height, width).
    """
    found: dict[str, list[Point]] = {mode: [] for mode in modes_of(model)}
    collected = CodeBits()
    for x in pictures:
        size = tuple(x.shape[2:])
        codes = model.encode_batch(Batch(x))
        scores = _scores(x, model.decode(codes, size))
        sizes: dict[str, int] = {}
        for mode, points in found.items():
            sizes[mode] = write_file(model, io.BytesIO(), [codes], lambda size=size: size, coders_of(model, mode))
            points.append(Point(_rate(sizes[mode], x), scores, mode))
        collected.add(codes, sizes)
    bits = collected.bits([level.codebook_size for level in model.layout])
    return Measured([mean_point(points) for points in found.values()], bits)


def codec_points(pictures: Iterable[Tensor]) -> dict[str, list[Point]]:
    """The points of each other codec, one for each quality. Whole files count, with their headers."""
    found: dict[str, dict[int, list[Point]]] = {codec: {quality: [] for quality in QUALITIES} for codec in picture_codecs()}
    for x in pictures:
        for codec, by_quality in found.items():
            for quality, points in by_quality.items():
                made = lossy_picture(x[0].numpy(), codec, quality)
                points.append(Point(_rate(made.bytes, x), _scores(x, torch.from_numpy(made.pixels)[None]), str(quality)))
    return {codec: [mean_point(points) for points in by_quality.values()] for codec, by_quality in found.items()}


def shown(
    models: Mapping[str, Pipeline], found: Mapping[str, Sequence[Point]], others: Mapping[str, Sequence[Point]], pictures: Sequence[Tensor]
) -> UInt8[np.ndarray, "height width 3"]:
    """A window of each picture, and what the models of the lowest, the middle and the highest rate make of it. Below each model are the
    other codecs, each at the quality whose rate is nearest to that of the model. Names of rows end with the rate.

    Args:
        models: the models by name.
        found: their points.
        others: the points of the other codecs.
        pictures: uint8 (1, channels, height, width), of any sizes.
    """
    side = min(SIDE, *(size for x in pictures for size in x.shape[2:]))
    best = {name: cheapest(points).rate for name, points in found.items()}
    ordered = sorted(best, key=lambda name: best[name])
    chosen = dict.fromkeys((ordered[0], ordered[len(ordered) // 2], ordered[-1]))
    rows = {"original": [_window(x, side) for x in pictures]}
    for name in chosen:
        rows[f"{name}  {best[name]:.2f}"] = [_window(models[name].reconstruct(x), side) for x in pictures]
        for codec, curve in others.items():
            point = nearest_point(curve, best[name])
            made = [torch.from_numpy(lossy_picture(x[0].numpy(), codec, int(point.setting)).pixels)[None] for x in pictures]
            # Two models may lie nearest to the same point. Its row is shown once.
            rows.setdefault(f"{codec}  {point.rate:.2f}", [_window(x, side) for x in made])
    return labelled_rows({name: torch.cat(windows) for name, windows in rows.items()})


def _window(x: Tensor, side: int) -> Tensor:
    """A square window, a third of the way along each axis."""
    top, left = ((size - side) // 3 for size in x.shape[2:])
    return x[:, :, top : top + side, left : left + side]


def _scores(x: Tensor, made: Tensor) -> dict[str, float]:
    return dict(zip(SCORES, (float(psnr(x, made)), float(ms_ssim(x, made))), strict=True))


def _rate(count: int, x: Tensor) -> float:
    return 8 * count / (x.shape[2] * x.shape[3])
