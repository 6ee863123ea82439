"""Points of rate and distortion, and the scores of one codec at the rate of another."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vqvae.reports.charts import Series


class Point(NamedTuple):
    """The rate and the scores of a codec at one setting, as means over all examples."""

    rate: float
    """Bits per pixel, or kilobits per second."""
    scores: dict[str, float]
    """Scores by name."""
    setting: str
    """The quality or the mode."""


class Measured(NamedTuple):
    """A model on some files."""

    points: list[Point]
    """One for each mode."""
    bits: dict[str, float]
    """Bits per code in each mode and with general compressors; see ``CodeBits``."""


def mean_point(points: Sequence[Point]) -> Point:
    """The mean of the points of several examples at one setting. Rates are means too, so examples should have one size."""
    count = len(points)
    scores = {name: math.fsum(point.scores[name] for point in points) / count for name in points[0].scores}
    return Point(math.fsum(point.rate for point in points) / count, scores, points[0].setting)


def at_rate(curve: Sequence[Point], rate: float, score: str) -> float | None:
    """The score of a codec at a rate, on the straight line between the nearest points. None if the rate is outside the curve."""
    points = sorted((point.rate, point.scores[score]) for point in curve)
    for (low, below), (high, above) in zip(points, points[1:], strict=False):
        if low <= rate <= high:
            share = (rate - low) / (high - low) if high > low else 0.0
            return below + share * (above - below)
    return None


def cheapest(curve: Sequence[Point]) -> Point:
    """The point of the lowest rate: of a model, its mode with the smallest files."""
    return min(curve, key=lambda point: point.rate)


def nearest_point(curve: Sequence[Point], rate: float) -> Point:
    """The point whose rate is nearest."""
    return min(curve, key=lambda point: abs(point.rate - rate))


def table(
    models: Mapping[str, Sequence[Point]], others: Mapping[str, Sequence[Point]], scores: Sequence[str], unit: str
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: each point of each model, with its scores and those of the other codecs at the same rate; then the smallest files
    of each other codec."""
    columns = ["model", "mode", unit, *(f"{score} {name}" for score in scores for name in ("vqvae", *others))]
    rows = []
    for name, points in models.items():
        for point in points:
            cells = []
            for score in scores:
                cells += [point.scores[score], *(at_rate(curve, point.rate, score) for curve in others.values())]
            rows.append([name, point.setting, f"{point.rate:.3f}", *map(_cell, cells)])
    for name, curve in others.items():
        point = cheapest(curve)
        cells = [point.scores[score] if column == name else None for score in scores for column in ("vqvae", *others)]
        rows.append([name, point.setting, f"{point.rate:.3f}", *map(_cell, cells)])
    return columns, rows


def bits_table(bits: Mapping[str, Mapping[str, float]]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: the bits per code of each model, in each mode and with each general compressor."""
    columns = list(dict.fromkeys(name for found in bits.values() for name in found))
    rows = [[model, *(f"{found[name]:.3f}" if name in found else "–" for name in columns)] for model, found in bits.items()]
    return ["model", *columns], rows


def _cell(score: float | None) -> str:
    return "–" if score is None else f"{score:.4g}"


def lines(models: Mapping[str, Sequence[Point]], others: Mapping[str, Sequence[Point]], score: str, most: float) -> list[Series]:
    """The curves as lines of a chart, up to the rate ``most``. One line joins the models, each in its mode with the smallest files."""
    best = [cheapest(points) for points in models.values()]
    curves = {"vqvae": best, **others}
    return [
        Series(name, [(point.rate, point.scores[score]) for point in sorted(curve, key=lambda point: point.rate) if point.rate <= most])
        for name, curve in curves.items()
    ]
