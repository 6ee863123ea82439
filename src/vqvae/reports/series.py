"""Series as SVG pictures: lines over positions, with the error below."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from jaxtyping import Real

from vqvae.reports.charts import DARK, QUIET, svg

_WIDTH, _LEFT, _RIGHT, _TEXT, _ROW, _STRIP = 640, 72, 12, 18, 84, 34
_MOST_POINTS = 1280
_COLOURS = (DARK, "#d9772b", "#4b9a6a", "#9a5fb0")
_ERROR = "#c2453a"
"""Visible on white and on black, like the others."""


class Panel(NamedTuple):
    """Lines in one frame."""

    title: str
    lines: Sequence[Real[np.ndarray, " positions"]]
    """One line or more, all of the same length."""
    error: Real[np.ndarray, " positions"] | None = None
    """Numbers of at least 0, drawn as an area below the lines."""


def series_chart(title: str, names: Sequence[str], panels: Sequence[Panel], across: str) -> str:
    """Panels below each other as a stand-alone SVG picture. All errors share a scale; each panel has its own scale of values.

    Of a long line, each column of pixels shows the minimum and the maximum, so no peak is lost.

    Args:
        title: what a screen reader says.
        names: the names of the lines, the same in every panel. There is a legend if there are several.
        panels: one panel or more.
        across: the name of the positions, such as "time".
    """
    names = [*names, *(["error"] if any(one.error is not None for one in panels) else [])]
    parts, top = [_legend(names)] if len(names) > 1 else [], _TEXT if len(names) > 1 else 0
    most = max((float(one.error.max()) for one in panels if one.error is not None), default=0.0)
    for one in panels:
        parts.append(f'<text x="{_LEFT}" y="{top + 13}">{escape(one.title)}</text>')
        top += _TEXT
        low, high = min(float(line.min()) for line in one.lines), max(float(line.max()) for line in one.lines)
        parts.append(_scale(low, high, top, _ROW))
        for colour, line in zip(_COLOURS, one.lines, strict=False):
            parts.append(_drawn(line, low, high, top, _ROW, f'fill="none" stroke="{colour}" stroke-width="1.4" stroke-opacity="0.9"'))
        top += _ROW + 6
        if one.error is not None:
            parts.append(_scale(0.0, most, top, _STRIP))
            parts.append(_area(one.error, most, top))
            top += _STRIP + 6
        parts.append(f'<text x="{_LEFT}" y="{top + 8}">0</text>')
        end = f"{across} {len(one.lines[0]) - 1}"
        parts.append(f'<text x="{_LEFT + _WIDTH}" y="{top + 8}" text-anchor="end">{escape(end)}</text>')
        top += _TEXT
    return svg(_LEFT + _WIDTH + _RIGHT, top, title, "".join(parts))


def _legend(names: Sequence[str]) -> str:
    parts, left = "", _LEFT
    for number, name in enumerate(names):
        colour = _ERROR if name == "error" else _COLOURS[number % len(_COLOURS)]
        parts += f'<rect x="{left}" y="4" width="10" height="10" rx="2" fill="{colour}"/><text x="{left + 15}" y="13">{escape(name)}</text>'
        left += 32 + 7 * len(name)
    return parts


def _scale(low: float, high: float, top: int, height: int) -> str:
    """The frame of a panel, with the ends of its scale on the left."""
    edges = "".join(
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDTH}" y1="{y}" y2="{y}" stroke="{QUIET}" stroke-width="0.4" stroke-opacity="0.6"/>'
        for y in (top, top + height)
    )
    ends = ((high, top + 9),) if high == low else ((high, top + 9), (low, top + height))
    return edges + "".join(f'<text x="{_LEFT - 6}" y="{y}" text-anchor="end">{value:.3g}</text>' for value, y in ends)


def _area(error: Real[np.ndarray, " positions"], most: float, top: int) -> str:
    """The error as an area from 0."""
    places, values = _thinned(error)
    across = _LEFT + _WIDTH * places / max(len(error) - 1, 1)
    up = top + _STRIP * (1 - values / (most or 1.0))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))
    ends = f"{_LEFT},{top + _STRIP} {points} {across[-1]:.1f},{top + _STRIP}"
    return f'<polygon points="{ends}" fill="{_ERROR}" fill-opacity="0.5" stroke="{_ERROR}" stroke-width="0.7"/>'


def _drawn(line: Real[np.ndarray, " positions"], low: float, high: float, top: int, height: int, looks: str) -> str:
    """A line between ``low`` and ``high``; a dot if it has one point."""
    places, values = _thinned(line)
    across = _LEFT + _WIDTH * places / max(len(line) - 1, 1)
    up = top + height * (1 - (values - low) / ((high - low) or 1.0))
    if len(line) == 1:
        return f'<circle cx="{across[0]:.1f}" cy="{up[0]:.1f}" r="3" {looks}/>'
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, up, strict=True))
    return f'<polyline points="{points}" {looks}/>'


def _thinned(line: Real[np.ndarray, " positions"]) -> tuple[np.ndarray, np.ndarray]:
    """Places and values: all of a short line, and the minimum and the maximum of each column of a long one."""
    if len(line) <= _MOST_POINTS:
        return np.arange(len(line)), line
    starts = np.arange(_MOST_POINTS // 2) * len(line) // (_MOST_POINTS // 2)
    ends = np.stack([np.minimum.reduceat(line, starts), np.maximum.reduceat(line, starts)], 1)
    return np.repeat(starts, 2), ends.reshape(-1)
