"""A run as one HTML page that needs nothing else: no scripts, no requests, pictures and charts inside."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image
from torch import Tensor

from vqvae.bits import bits
from vqvae.disk import atomic
from vqvae.errors import CheckpointError
from vqvae.reports.charts import Bar, Series, area_chart, bar_chart, line_chart
from vqvae.reports.waves import audio_player

_STYLE = "page.css"
_NOT_SHOWN = {"step", "stage", "seconds", "learning_rate", "examples_per_second", "waited_share", "gradient_norm"}
_SMALL = 480
_MOST_CODEBOOKS = 16


class Sound(NamedTuple):
    """Something to listen to."""

    title: str
    samples: Float[Tensor, " time"]
    """In [-1, 1]."""
    sample_rate: int
    """Samples a second."""


class Measure(NamedTuple):
    """How a number is shown to one who has never seen it."""

    title: str
    form: str
    """A format specification, for the number times ``factor``."""
    unit: str
    meaning: str
    factor: float = 1.0


_DIMS = "for one colour channel of one pixel"
MEASURES = {
    "bits_per_dim_learned": Measure(
        "Bits per dimension, learned prior",
        ".3f",
        "bits/dim",
        f"What storing held-out images without loss would take {_DIMS}. Raw, it takes 8.",
    ),
    "bits_per_dim_unigram": Measure(
        "Bits per dimension, unigram prior", ".3f", "bits/dim", "The same, where of the codes only their frequencies are known."
    ),
    "bits_per_dim_uniform": Measure(
        "Bits per dimension, uniform prior", ".3f", "bits/dim", "The same, where all codes count as equally likely, as in training."
    ),
    "bits_per_dim_reconstruction": Measure(
        "of which pixels given codes", ".3f", "bits/dim", "The part of these that the codes leave to say; the rest is the codes themselves."
    ),
    "bits_per_code": Measure(
        "Bits per code, learned prior", ".3f", "bits", "How surprising a code is to the learned prior: less is better."
    ),
    "bits_per_code_unigram": Measure("Bits per code, unigram prior", ".3f", "bits", "The same, where only frequencies are known."),
    "bits_per_code_uniform": Measure(
        "Bits per code, uniform prior", ".3f", "bits", "The logarithm of the codebook's size: what no knowledge at all takes."
    ),
    "psnr": Measure(
        "PSNR", ".2f", "dB", "How near reconstructions come to their images, pixel by pixel; 3 dB more is half the squared error."
    ),
    "ssim": Measure("SSIM", ".4f", "", "How alike their local structure is: 1 is the same."),
    "nmse": Measure("NMSE", ".4f", "", "The squared error as a share of the data's variance: 0 is perfect."),
    "perplexity": Measure("Perplexity of the codes", ".1f", "codes", "As many codes, used evenly, would say as much as these do."),
    "codes_used": Measure("Codes used", ".1f", "%", "The share of the codebook that occurs on held-out images at all.", 100.0),
    "examples": Measure("Held-out images", ".0f", "", "All scores are measured on these; nothing was trained on them."),
    "seconds": Measure("Seconds in all", ".0f", "s", "The sum over the stages of this run."),
}
PICTURES = {
    "reconstructions": "Held-out images, and below each row what is left of them after they became codes and were decoded again.",
    "samples": "Images that never were: the prior draws a grid of codes, one after the other, and the decoder makes an image of it.",
}
_ABOUT = (
    "A tokenizer turns an image into a small grid of codes, each one of a fixed list, the codebook, and turns such a grid back into "
    "an image. A prior then learns which grids occur. Together they are a model of images: they can store, score and draw them."
)


def write_report(
    path: Path,
    *,
    title: str,
    metrics: Mapping[str, Any],
    pictures: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    rows: Sequence[Mapping[str, Any]],
    settings: str,
    summary: str = "",
    command: str = "",
    counts: Int[Tensor, "codebooks codebook_size"] | None = None,
    sounds: Sequence[Sound] = (),
    charts: Sequence[str] = (),
) -> None:
    """Write the report of a run, whole or not at all.

    Args:
        path: where to, usually ``RUN/report.html``.
        title: one line.
        metrics: scores by name, as ``metrics.json`` has them; those that are None are left out, and ``seconds_by_stage`` is drawn.
        pictures: uint8 arrays (height, width, 3) by name, such as "reconstructions" and "samples".
        rows: those of ``metrics.jsonl``, in order.
        settings: the configuration as JSON text.
        summary: what this model is, in a sentence or two.
        command: what makes this run again.
        counts: how often each code occurs.
        sounds: recordings and what was made of them, in order; each has a player.
        charts: SVG pictures, such as those of ``waves.wave_chart`` and ``phonemes.phoneme_chart``.

    Raises:
        CheckpointError: the place cannot be written.
    """
    numbers = {name: float(value) for name, value in metrics.items() if _is_number(value)}
    sections = [
        f"<p>{escape(summary)}</p>" if summary else "",
        f'<p class="quiet">{escape(_ABOUT)}</p>',
        _cards(numbers),
        _sounds(sounds),
        _pictures(pictures, charts),
        _likelihood(numbers),
        _curves(rows),
        "" if counts is None else _usage(counts),
        _table(numbers),
        _times(metrics.get("seconds_by_stage") or {}),
        _again(command, settings),
    ]
    with atomic(path, CheckpointError) as partial:
        partial.write_text(_page(title, sections), encoding="utf-8")


def write_side_by_side(
    path: Path, *, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], pictures: Sequence[Mapping[str, np.ndarray]]
) -> None:
    """Write a page that compares runs, whole or not at all.

    Args:
        path: where to.
        title: one line.
        header: the names of the columns.
        rows: the cells of the table.
        pictures: rows of pictures; each row has uint8 arrays (height, width, 3) by what they show.

    Raises:
        CheckpointError: the place cannot be written.
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    sections = [f'<h2>Scores</h2><div class="wide"><table class="numbers"><tr>{head}</tr>{lines}</table></div>']
    sections += [f'<div style="display:flex;flex-wrap:wrap;gap:1rem">{_pictures(row, ())}</div>' for row in pictures if row]
    with atomic(path, CheckpointError) as partial:
        partial.write_text(_page(title, sections), encoding="utf-8")


def _page(title: str, sections: Sequence[str]) -> str:
    """The sections that say something, as a page that may load nothing from anywhere."""
    style = resources.files("vqvae.reports").joinpath(_STYLE).read_text(encoding="utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<link rel="icon" href="data:,">
<title>{escape(title)}</title>
<style>
{style}</style>
</head>
<body>
<main>
<div class="quiet">vqvae report</div>
<h1>{escape(title)}</h1>
{chr(10).join(section for section in sections if section)}
</main>
</body>
</html>
"""


def _cards(numbers: Mapping[str, float]) -> str:
    """The four numbers to know."""
    best = next((name for name in ("bits_per_dim_learned", "bits_per_dim_unigram", "bits_per_dim_uniform") if name in numbers), "")
    cards = []
    for name in (best, "psnr", "bits_per_code", "codes_used"):
        if name in numbers:
            words = MEASURES[name].meaning
            if name == "bits_per_code" and numbers.get("bits_per_code_unigram"):
                saved = 1 - numbers[name] / numbers["bits_per_code_unigram"]
                words = f"{saved:.0%} fewer than code frequencies alone would take: what the prior has learned of how codes hang together."
            value, unit = _in_words(name, numbers[name])
            cards.append(
                f'<div class="card"><small>{escape(MEASURES[name].title)}</small><b>{value} <span>{unit}</span></b>'
                f"<small>{escape(words)}</small></div>"
            )
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _sounds(sounds: Sequence[Sound]) -> str:
    figures = "".join(
        f'<figure class="picture"><figcaption>{escape(sound.title)}</figcaption>{audio_player(sound.samples, sound.sample_rate)}</figure>'
        for sound in sounds
    )
    return f"<h2>Sounds</h2>{figures}" if figures else ""


def _pictures(pictures: Mapping[str, np.ndarray], charts: Sequence[str]) -> str:
    figures = ""
    for name, pixels in pictures.items():
        height, width = pixels.shape[:2]
        zoom = 2 if width < _SMALL else 1
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, format="PNG", optimize=True)
        words = f"<b>{escape(name.replace('_', ' ').capitalize())}.</b> {escape(PICTURES.get(name, ''))}"
        figures += (
            f'<figure class="picture"><figcaption>{words}</figcaption><img width="{zoom * width}" height="{zoom * height}" '
            f'alt="{escape(name)}" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"></figure>'
        )
    figures += "".join(f'<figure class="picture">{chart}</figure>' for chart in charts)
    return f"<h2>Pictures</h2>{figures}" if figures else ""


def _likelihood(numbers: Mapping[str, float]) -> str:
    pixels, bars = numbers.get("bits_per_dim_reconstruction", 0.0), []
    for name, value in numbers.items():
        kind = name.removeprefix("bits_per_dim_")
        if kind != name and kind != "reconstruction":
            bars.append(Bar(f"{kind} prior", (pixels, max(value - pixels, 0.0)), f"{value:.3f}"))
    if not bars:
        return ""
    bars.sort(key=lambda bar: -sum(bar.parts))
    words = (
        "A model that gives likely images a high probability could store them in few bits. First the codes are stored, at a price that the "
        "prior sets; then the pixels, at a price that is lower the better the codes foretell them. Less is better; a raw image takes 8."
    )
    return f"<h2>Likelihood of held-out images</h2><p>{words}</p>" + bar_chart(
        "bits per dimension", bars, ["pixels, given the codes", "codes"]
    )


def _curves(rows: Sequence[Mapping[str, Any]]) -> str:
    found: dict[str, dict[str, dict[str, list[tuple[float, float]]]]] = {}
    for row in rows:
        stage = found.setdefault(str(row.get("stage", "training")), {})
        for name, value in row.items():
            side = "held out" if name.startswith("held_out_") else "training"
            name = name.removeprefix("held_out_")
            if name in _NOT_SHOWN or not _is_number(value) or not _is_number(row.get("step")):
                continue
            if "nats_" in name:
                name, value = name.replace("nats_", "bits_"), bits(float(value))
            stage.setdefault(name, {}).setdefault(side, []).append((float(row["step"]), float(value)))
    text = ""
    for stage, names in found.items():
        charts = [
            line_chart(name.replace("_", " "), [Series(side, sides[side]) for side in ("training", "held out") if side in sides])
            for name, sides in names.items()
        ]
        panels = "".join(f'<div class="chart">{chart}</div>' for chart in charts if chart)
        text += f'<h3>{escape(stage)}</h3><div class="charts">{panels}</div>' if panels else ""
    words = "By training step. Where the training line goes on falling and the held-out line does not, the model learns by heart."
    return f"<h2>Learning curves</h2><p>{words}</p>{text}" if text else ""


def _usage(counts: Tensor) -> str:
    books, size = counts.shape
    if not int(counts.sum()):
        return ""
    shares = counts.cpu().double() / counts.cpu().sum(1, keepdim=True).clamp(min=1) * size
    ordered = shares.sort(dim=1, descending=True).values.tolist()[:_MOST_CODEBOOKS]
    series = [
        Series(f"codebook {number}", [(float(rank), share) for rank, share in enumerate(row, start=1)])
        for number, row in enumerate(ordered)
    ]
    which = (
        ""
        if books == 1
        else f" Each of the {books} codebooks by itself."
        if books <= len(series)
        else f" The first {len(series)} of {books}."
    )
    words = f"All {size} codes, the most frequent first: how often each occurs, as a multiple of even use (1).{which}"
    return f'<h2>Use of the codebook</h2><p>{words}</p><div class="chart">{area_chart("use", series)}</div>'


def _table(numbers: Mapping[str, float]) -> str:
    known = [name for name in MEASURES if name in numbers]
    rows = ""
    for name in [*known, *(name for name in numbers if name not in MEASURES)]:
        measure, (value, unit) = _measure(name), _in_words(name, numbers[name])
        title = f"{escape(measure.title)}<br><code>{escape(name)}</code>"
        rows += f"<tr><td>{title}</td><td>{value} {unit}</td><td>{escape(measure.meaning)}</td></tr>"
    if not rows:
        return ""
    head = "<tr><th>measure</th><th>value</th><th>what it says</th></tr>"
    return f'<h2>All numbers</h2><div class="wide"><table class="numbers">{head}{rows}</table></div>'


def _times(seconds: Mapping[str, Any]) -> str:
    bars = [Bar(str(stage), (float(value),), _duration(float(value))) for stage, value in seconds.items() if _is_number(value)]
    return f"<h2>Time</h2>{bar_chart('time by stage', bars)}" if bars else ""


def _again(command: str, settings: str) -> str:
    shown = f"<pre>{escape(command)}</pre>" if command else ""
    return f"<h2>How to get it again</h2>{shown}<details><summary>All settings</summary><pre>{escape(settings)}</pre></details>"


def _measure(name: str) -> Measure:
    if name.startswith("frechet_"):
        words = "How far the features of reconstructions are from those of images, as distributions; comparable only for the same features."
        return Measure(f"Fréchet distance of {name.removeprefix('frechet_')}", ".4g", "", words)
    return MEASURES.get(name, Measure(name.replace("_", " ").capitalize(), ".4g", "", ""))


def _in_words(name: str, value: float) -> tuple[str, str]:
    measure = _measure(name)
    return f"{value * measure.factor:{measure.form}}", escape(measure.unit)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{seconds:.1f} s"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
