"""Bits per pixel against PSNR and MS-SSIM, of models and of JPEG, WebP and AVIF."""

import io
from collections.abc import Iterable

import torch
from torch import Tensor

from vqvae.data.base import Batch
from vqvae.evaluation.images.multiscale import ms_ssim
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.evaluation.rates.curves import Point, mean_point
from vqvae.media.lossy import lossy_picture, picture_codecs
from vqvae.pipeline import Pipeline
from vqvae.pipeline.compression import coders_of, modes_of, write_file

SCORES = ("PSNR", "MS-SSIM")
UNIT = "bits per pixel"
QUALITIES = (0, 2, 5, 8, 12, 16, 20, 25, 30, 40, 50, 60, 70, 80, 90)
"""The qualities of the other codecs."""


def model_points(model: Pipeline, pictures: Iterable[Tensor]) -> list[Point]:
    """The points of a model, one for each mode that it has. The mode with the smallest files is last.

    Args:
        model: a model of pictures.
        pictures: uint8 (1, channels, height, width).
    """
    found: dict[str, list[Point]] = {mode: [] for mode in modes_of(model)}
    for x in pictures:
        size = tuple(x.shape[2:])
        codes = model.encode_batch(Batch(x))
        scores = _scores(x, model.decode(codes, size))
        for mode, points in found.items():
            count = write_file(model, io.BytesIO(), [codes], lambda size=size: size, coders_of(model, mode))
            points.append(Point(_rate(count, x), scores, mode))
    return [mean_point(points) for points in found.values()]


def codec_points(pictures: Iterable[Tensor]) -> dict[str, list[Point]]:
    """The points of each other codec, one for each quality. Whole files count, with their headers."""
    found: dict[str, dict[int, list[Point]]] = {codec: {quality: [] for quality in QUALITIES} for codec in picture_codecs()}
    for x in pictures:
        for codec, by_quality in found.items():
            for quality, points in by_quality.items():
                made = lossy_picture(x[0].numpy(), codec, quality)
                points.append(Point(_rate(made.bytes, x), _scores(x, torch.from_numpy(made.pixels)[None]), str(quality)))
    return {codec: [mean_point(points) for points in by_quality.values()] for codec, by_quality in found.items()}


def _scores(x: Tensor, made: Tensor) -> dict[str, float]:
    return dict(zip(SCORES, (float(psnr(x, made)), float(ms_ssim(x, made))), strict=True))


def _rate(count: int, x: Tensor) -> float:
    return 8 * count / (x.shape[2] * x.shape[3])
