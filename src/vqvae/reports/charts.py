"""Charts as inline SVG, without scripts: lines, areas and stacked bars. The page's style colours the classes ``a`` to ``d``.

Heat maps contain their colours, so they work in a page and as a file.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from vqvae.disk import atomic
from vqvae.errors import CheckpointError

_WIDTH, _HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 8, 22
_TICKS = 4
_MOST_POINTS = 400
_LINE = 18
COLOURS = "abcd"
QUIET, DARK = "#667080", "#2f6db3"
"""Colours of text and shapes that are visible on white and on black."""
_CELL, _WIDE, _FAINTEST = 12, 640, 0.005
_COLOURED = """
text { fill: #667080; font: 11px system-ui, sans-serif; } .grid { stroke: #e3e1dc; } .line { fill: none; stroke-width: 1.8; }
.dot { fill: #fff; stroke-width: 2; } .small { stroke-width: 1.4; }
.a { stroke: #2f6db3; } .b { stroke: #d9772b; } .c { stroke: #4b9a6a; } .d { stroke: #9a5fb0; }
"""
"""The light colours of the page, for a stand-alone picture."""


class Series(NamedTuple):
    """A line through points, ordered by x."""

    name: str
    points: Sequence[tuple[float, float]]


class Bar(NamedTuple):
    """A row of a bar chart: stacked parts, each in its own colour, and text at the end."""

    name: str
    parts: Sequence[float]
    words: str


def line_chart(title: str, series: Sequence[Series]) -> str:
    """Lines over a common x axis that starts at 0. Points that are not finite are omitted. A single point is a dot.

    The frame contains every point, except high ones in the first tenth of x: an early, steep loss would flatten the rest.
    """
    finite = _finite(series)
    if not any(one.points for one in finite):
        return ""
    said = ", ".join(f"{one.name} ends at {one.points[-1][1]:.4g}" for one in finite if one.points)
    return _figure(title, f"{title} by step: {said}", _lines(finite), [one.name for one in finite] if len(finite) > 1 else [])


def save_line_chart(path: Path, title: str, series: Sequence[Series], dots: bool = False) -> None:
    """Write the lines of ``line_chart`` as a stand-alone SVG file with colours, title and legend. With ``dots``, every point is marked.

    Raises:
        ValueError: if no point is finite, or there are more lines than colours.
    """
    finite = _finite(series)
    if not any(one.points for one in finite) or len(finite) > len(COLOURS):
        raise ValueError(f"{title!r} has {len(finite)} lines; from 1 to {len(COLOURS)} with a finite point are expected.")
    top = _LINE * (1 + len(finite))
    legend = "".join(
        f'<line class="line {colour}" x1="{_LEFT}" x2="{_LEFT + 16}" y1="{_LINE * row + 11}" y2="{_LINE * row + 11}"/>'
        f'<text x="{_LEFT + 22}" y="{_LINE * row + 15}">{escape(one.name)}</text>'
        for row, (colour, one) in enumerate(zip(COLOURS, finite, strict=False), start=1)
    )
    text = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT + top}" role="img" aria-label="{escape(title)}">
<style>{_COLOURED}</style>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="{_LEFT}" y="13">{escape(title)}</text>{legend}
<svg y="{top}" height="{_HEIGHT}">{_lines(finite, dots)}</svg>
</svg>
"""
    save_svg(path, text)


def area_chart(title: str, series: Sequence[Series]) -> str:
    """Lines with the area below them filled. The y axis starts at 0."""
    highest = max((y for one in series for _, y in one.points), default=0.0) or 1.0
    most = max((x for one in series for x, _ in one.points), default=0.0) or 1.0
    frame = _Frame(most, 0.0, highest * 1.05)
    areas = ""
    for colour, one in zip(_colours(), series, strict=False):
        points = _thinned(one.points)
        corners = frame.path([(points[0][0], 0.0), *points, (points[-1][0], 0.0)]) if points else ""
        areas += f'<polygon class="area {colour}" points="{corners}"><title>{escape(one.name)}</title></polygon>'
    return _figure(title, title, frame.axes() + areas, [])


def bar_chart(title: str, bars: Sequence[Bar], legend: Sequence[str] = ()) -> str:
    """Horizontal bars on a common scale from 0."""
    longest = max((sum(bar.parts) for bar in bars), default=0.0) or 1.0
    rows = ""
    for bar in bars:
        parts = "".join(
            f'<span class="part {colour}" style="width:{100 * part / longest:.2f}%"></span>'
            for colour, part in zip(_colours(), bar.parts, strict=False)
        )
        rows += f'<tr><th scope="row">{escape(bar.name)}</th><td><div>{parts}</div></td><td>{escape(bar.words)}</td></tr>'
    return f'<figure class="bars"><figcaption>{escape(title)}{_legend(legend)}</figcaption><table>{rows}</table></figure>'


def heat_map(title: str, shares: Float[np.ndarray, "rows columns"], rows: Sequence[str], across: str) -> str:
    """A table of numbers from 0 to 1 as a stand-alone SVG picture. Larger numbers are darker.

    Args:
        title: the title.
        shares: the numbers. Numbers below 0.005 are not drawn.
        rows: the name of each row.
        across: the label of the columns.
    """
    count, width = len(rows), _WIDE / max(shares.shape[1], 1)
    left, top, bottom = 2 * _CELL + 7 * max(map(len, rows), default=0), 2 * _LINE, 2 * _LINE
    height = top + _CELL * count + bottom
    parts = [f'<text x="{left}" y="13">{escape(title)}</text>']
    for row, name in enumerate(rows):
        parts.append(f'<text x="{left - 6}" y="{top + _CELL * row + 10}" text-anchor="end">{escape(name)}</text>')
    for row, column in np.argwhere(shares >= _FAINTEST).tolist():
        place = f'x="{left + width * column:.2f}" y="{top + _CELL * row}" width="{width:.2f}" height="{_CELL}"'
        parts.append(f'<rect {place} fill="{DARK}" fill-opacity="{shares[row, column]:.2f}"/>')
    parts.append(
        f'<rect x="{left}" y="{top}" width="{_WIDE}" height="{_CELL * count}" fill="none" stroke="{QUIET}" stroke-width="0.5"/>'
        f'<text x="{left + _WIDE / 2:g}" y="{height - _LINE}" text-anchor="middle">{escape(across)}</text>'
    )
    return svg(left + _WIDE + _CELL, height, title, "".join(parts))


def svg(width: float, height: float, said: str, body: str) -> str:
    """A stand-alone SVG picture around ``body``, with small grey text. A screen reader says ``said``."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(said)}">'
        f'<g fill="{QUIET}" font-family="system-ui, sans-serif" font-size="11">{body}</g></svg>\n'
    )


def save_svg(path: Path, text: str) -> None:
    """Write a picture, whole or not at all. Missing folders are created.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    with atomic(path, CheckpointError) as partial:
        partial.write_text(text, encoding="utf-8")


class _Frame(NamedTuple):
    """The map from x in [0, most] and y in [low, high] to the picture."""

    most: float
    low: float
    high: float

    def at(self, x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * x / self.most
        up = _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (y - self.low) / (self.high - self.low)
        return across, up

    def path(self, points: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.at(*point) for point in points))

    def axes(self) -> str:
        parts = []
        for y in _ticks(self.low, self.high):
            _, up = self.at(0, y)
            parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up:.1f}" y2="{up:.1f}"/>')
            parts.append(f'<text x="{_LEFT - 5}" y="{up + 3.5:.1f}" text-anchor="end">{_short(y)}</text>')
        for x in _ticks(0, self.most):
            across, _ = self.at(x, self.low)
            parts.append(f'<text x="{across:.1f}" y="{_HEIGHT - 7}" text-anchor="middle">{_short(x)}</text>')
        return "".join(parts)


def _finite(series: Sequence[Series]) -> list[Series]:
    return [Series(one.name, [(x, y) for x, y in one.points if math.isfinite(x) and math.isfinite(y)]) for one in series]


def _lines(series: Sequence[Series], dots: bool = False) -> str:
    """Axes and lines of at least one point."""
    points = [point for one in series for point in one.points]
    most = max(x for x, _ in points) or 1.0
    low, high = min(y for _, y in points), max(y for x, y in points if x >= most / 10)
    frame = _Frame(most, *_padded(low, high))
    lines = "".join(_line(colour, one, frame, dots) for colour, one in zip(_colours(), series, strict=False))
    # An inner svg clips at the frame. A clipping path would need an identifier that is unique in the page.
    body = f'<svg x="{_LEFT}" y="0" width="{_WIDTH - _LEFT}" height="{_HEIGHT - _BOTTOM}" viewBox="{_LEFT} 0 {_WIDTH - _LEFT} '
    return frame.axes() + body + f'{_HEIGHT - _BOTTOM}">{lines}</svg>'


def _line(colour: str, one: Series, frame: _Frame, dots: bool) -> str:
    """A line, or a dot for a single point."""
    title = f"<title>{escape(one.name)}</title>"
    if len(one.points) == 1:
        across, up = frame.at(*one.points[0])
        return f'<circle class="dot {colour}" cx="{across - 4:.1f}" cy="{up:.1f}" r="4">{title}</circle>'
    points = [frame.at(*point) for point in _thinned(one.points)] if dots else []
    marks = "".join(f'<circle class="dot small {colour}" cx="{across:.1f}" cy="{up:.1f}" r="2.2"/>' for across, up in points)
    return f'<polyline class="line {colour}" points="{frame.path(_thinned(one.points))}">{title}</polyline>{marks}'


def _figure(title: str, said: str, body: str, legend: Sequence[str]) -> str:
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(said)}">{body}</svg>'
    return f"<figure><figcaption>{escape(title)}{_legend(legend)}</figcaption>{svg}</figure>"


def _legend(names: Sequence[str]) -> str:
    keys = zip(_colours(), names, strict=False)
    return "".join(f'<span class="key"><i class="{colour}"></i>{escape(name)}</span>' for colour, name in keys)


def _colours() -> Iterator[str]:
    while True:
        yield from COLOURS


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """At most 400 points, including the first and the last."""
    if len(points) <= _MOST_POINTS:
        return points
    return [points[round(i * (len(points) - 1) / (_MOST_POINTS - 1))] for i in range(_MOST_POINTS)]


def _padded(low: float, high: float) -> tuple[float, float]:
    high = max(high, low)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers inside [low, high], about four."""
    rough = (high - low) / _TICKS
    power = 10 ** math.floor(math.log10(rough))
    step = power * min((1, 2, 5, 10), key=lambda factor: abs(factor * power - rough))
    return [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _short(value: float) -> str:
    """A number in at most six characters or so: 1500 as 1.5k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"
