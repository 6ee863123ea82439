"""Kilobits per second against STOI and the log-mel distance, of models and of Opus."""

import io
from collections.abc import Iterable

import torch
from torch import Tensor

from vqvae.data.base import Batch
from vqvae.evaluation.kinds import sample_rate_of
from vqvae.evaluation.rates.curves import Measured, Point, mean_point
from vqvae.evaluation.rates.general import CodeBits
from vqvae.evaluation.speech.distances import log_mel_distance, stoi
from vqvae.media.lossy import opus
from vqvae.pipeline import Pipeline
from vqvae.pipeline.compression import coders_of, modes_of, write_file

SCORES = ("STOI", "log-mel distance")
UNIT = "kbit/s"
BITS_PER_SECOND = (6_000, 8_000, 10_000, 12_000, 16_000, 24_000)
"""The rates of Opus, in bits per second. 6,000 is its lowest."""


def model_points(model: Pipeline, waves: Iterable[Tensor], speaker: str | int | None = None) -> Measured:
    """The points of a model, one for each mode that it has, and the bits per code. The mode with the smallest files is last.

    Args:
        model: a model of speech.
        waves: float32 (1, 1, time).
        speaker: the speaker whose voice is used, if the decoder has speakers.
    """
    rate, found, collected = sample_rate_of(model.signal), {mode: [] for mode in modes_of(model)}, CodeBits()
    for x in waves:
        codes = model.encode_batch(Batch(x))
        scores = _scores(x, model.decode(codes, tuple(x.shape[2:]), speaker), rate)
        sizes: dict[str, int] = {}
        for mode, points in found.items():
            sizes[mode] = write_file(model, io.BytesIO(), [codes], lambda size=tuple(x.shape[2:]): size, coders_of(model, mode))
            points.append(Point(8 * sizes[mode] * rate / x.shape[2] / 1000, scores, mode))
        collected.add(codes, sizes)
    bits = collected.bits([level.codebook_size for level in model.layout])
    return Measured([mean_point(points) for points in found.values()], bits)


def codec_points(waves: Iterable[Tensor], sample_rate: int) -> dict[str, list[Point]]:
    """The points of Opus. Its packets count, without a container."""
    found: dict[int, list[Point]] = {bits: [] for bits in BITS_PER_SECOND}
    for x in waves:
        for bits, points in found.items():
            made = opus(x[0, 0].numpy(), sample_rate, bits)
            scores = _scores(x, torch.from_numpy(made.wave)[None, None], sample_rate)
            points.append(Point(8 * made.bytes * sample_rate / x.shape[2] / 1000, scores, str(bits)))
    return {"Opus": [mean_point(points) for points in found.values()]}


def _scores(x: Tensor, made: Tensor, sample_rate: int) -> dict[str, float]:
    original, other = x[0], made[0]
    return dict(zip(SCORES, (stoi(original[0], other[0], sample_rate), float(log_mel_distance(original, other, sample_rate))), strict=True))
