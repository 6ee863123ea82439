"""A run as one self-contained HTML page: no scripts, no requests, with pictures and charts inside."""

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8
from torch import Tensor

from vqvae.disk import atomic
from vqvae.errors import CheckpointError
from vqvae.reports.charts import Bar, Series, area_chart, bar_chart
from vqvae.reports.curves import curves, is_number
from vqvae.reports.loops import Animation, loop_row
from vqvae.reports.measures import MEASURES, Words, in_words, measure, size_in_words
from vqvae.reports.sounds import Row, picture, sound_rows
from vqvae.reports.waves import ERROR_RANGE
from vqvae.words import duration

_STYLE = "page.css"
_WIDTH, _MOST_ZOOM, _CARDS = 900, 8, 4
_MOST_CODEBOOKS, _MOST_CLASSES = 16, 12
CAPTIONS = {
    "reconstructions": "Each row of held-out images is above a row of their reconstructions.",
    "samples": "New images. The prior draws codes one after the other, and the decoder turns them into an image.",
    "code_maps": "Held-out images and their codes. Each code has its own colour.",
}


class Beside(NamedTuple):
    """Another run to compare with."""

    name: str
    scores: Mapping[str, Any]
    pictures: Mapping[str, UInt8[np.ndarray, "_ _ 3"]]
    same_data: bool
    """Whether it was scored on the same held-out data."""
    missing: str = ""
    """Why it has no scores, and how to make them. Empty if it has scores."""


def write_report(
    path: Path,
    *,
    title: str,
    metrics: Mapping[str, Any],
    pictures: Mapping[str, UInt8[np.ndarray, "_ _ 3"]],
    rows: Sequence[Mapping[str, Any]],
    settings: str,
    words: Words = Words(),
    summary: str = "",
    data: Sequence[str] = (),
    command: str = "",
    serve: str = "",
    counts: Int[Tensor, "codebooks codebook_size"] | None = None,
    captions: Mapping[str, str] = {},
    animations: Mapping[str, Mapping[str, Animation]] = {},
    sounds: Sequence[Row] = (),
    charts: Mapping[str, str] = {},
    sizes: Mapping[str, float] = {},
    classes: Mapping[str, Mapping[str, float]] = {},
    grouped_by: str = "class",
    warnings: Sequence[str] = (),
    beside: Beside | None = None,
) -> None:
    """Write the report of a run to ``path``, whole or not at all.

    Args:
        title: the name of the run or its data.
        metrics: scores by name, as in ``metrics.json``. None is not shown. ``seconds_by_stage`` becomes a chart.
        pictures, charts: uint8 arrays (height, width, 3) and SVG pictures, by name, such as "samples".
        rows: the rows of ``metrics.jsonl``, in order.
        settings, words, summary: the settings as JSON text, what the data is called, and a sentence or two about the model.
        data: sentences about the data.
        command, serve: the commands that repeat this run, or a sentence after "# "; and the command that serves it.
        counts: how often each code occurs.
        animations, sounds: rows of animations, by the name of the row, and rows of sounds to compare.
        captions: captions of animations, and of pictures and charts that have none in ``CAPTIONS``.
        sizes: mean sizes in bytes, by what is stored.
        classes, grouped_by: scores of each class or speaker, and "class" or "speaker".
        warnings, beside: why some scores may mislead, and a run to compare with.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    numbers = numbers_of(metrics)
    sections = [
        _begin(summary, words) + _cards(numbers, words) + _warnings(warnings),
        _sounds(sounds),
        _pictures(pictures, charts, captions, animations),
        _beside(numbers, beside),
        _likelihood(numbers, words) + _sizes(sizes, words),
        _classes(classes, words, grouped_by),
        curves(rows),
        _usage(counts),
        _table(numbers, words),
        _data(data),
        _times(metrics.get("seconds_by_stage") or {}),
        _serve(serve) + _again(command, settings),
    ]
    _write(path, title, sections)


def write_side_by_side(
    path: Path,
    *,
    title: str,
    names: Sequence[str],
    scores: Sequence[Mapping[str, float]],
    pictures: Sequence[Mapping],
    warnings: Sequence[str] = (),
) -> None:
    """Write a page that compares runs, whole or not at all.

    Args:
        path: the file.
        title: one line.
        names: the names of the runs.
        scores: the scores of each run, by name.
        pictures: rows of pictures. Each row has uint8 arrays (height, width, 3) by caption.
        warnings: why the scores cannot be compared.

    Raises:
        CheckpointError: if the file cannot be written.
    """
    sections = [_warnings(warnings), f"<h2>Scores</h2>{_comparison(names, scores)}"]
    drawn = "".join(f'<div class="beside">{_figures(row, {}, _WIDTH // 2)}</div>' for row in pictures if row)
    _write(path, title, [*sections, f"<h2>Pictures</h2>{drawn}" if drawn else ""])


def numbers_of(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of ``metrics.json``."""
    return {name: float(value) for name, value in metrics.items() if is_number(value)}


def _write(path: Path, title: str, sections: Sequence[str]) -> None:
    """Write the sections that are not empty as a page that may load nothing."""
    style = resources.files("vqvae.reports").joinpath(_STYLE).read_text(encoding="utf-8")
    text = f"""<!doctype html>
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
    with atomic(path, CheckpointError) as partial:
        partial.write_text(text, encoding="utf-8")


def _begin(summary: str, words: Words) -> str:
    return (f"<p>{escape(summary)}</p>" if summary else "") + f'<p class="quiet">{escape(words.about)}</p>'


def _cards(numbers: Mapping[str, float], words: Words) -> str:
    """The most important scores."""
    kinds = ("bits_per_dim", "bits_per_sample")
    best = next((f"{kind}_{name}" for name in ("learned", "unigram", "uniform") for kind in kinds if f"{kind}_{name}" in numbers), "")
    near = next((name for name in ("psnr", "log_mel_distance", "nmse") if name in numbers), "")
    rates = ("bits_per_second_learned", "bits_per_second_unigram", "bits_per_frame", "bits_per_frame_unigram")
    rate = next((name for name in rates if name in numbers), "bits_per_code")
    cards = []
    for name in [name for name in (near, best, rate, "codes_used", "compression_ratio") if name in numbers][:_CARDS]:
        found, (value, unit) = measure(name, words), in_words(name, numbers[name])
        meaning = found.meaning
        if name == "bits_per_code" and numbers.get("bits_per_code_unigram"):
            saved = 1 - numbers[name] / numbers["bits_per_code_unigram"]
            meaning = f"{abs(saved):.0%} {'fewer' if saved >= 0 else 'more'} than with code frequencies alone."
        cards.append(
            f'<div class="card"><small>{escape(found.title)}</small><b>{value} <span>{escape(unit)}</span></b>'
            f"<small>{escape(meaning)}</small></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _warnings(warnings: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(warning)}</li>" for warning in warnings)
    return f'<div class="warning" role="note"><h2>Read the scores with care</h2><ul>{lines}</ul></div>' if lines else ""


def _sounds(sounds: Sequence[Row]) -> str:
    if not sounds:
        return ""
    words = "Below each sound: its waveform, spectrogram and codes, one colour per code. The waveforms of a row share a scale."
    if any(one.original is not None for row in sounds for one in row.sounds):
        words += (
            " The last strip below a reconstruction is its error at each time and frequency: black is 0, the brightest colour "
            f"{ERROR_RANGE:g} dB or more."
        )
    return f"<h2>Sounds</h2><p>{words}</p>{sound_rows(sounds)}"


def _pictures(
    pictures: Mapping[str, np.ndarray],
    charts: Mapping[str, str],
    captions: Mapping[str, str],
    animations: Mapping[str, Mapping[str, Animation]],
) -> str:
    moving = {name: captions.get(name, "") for name in animations}
    figures = "".join(
        f'<figure class="picture">{_caption(name, words)}{loop_row(animations[name], words)}</figure>' for name, words in moving.items()
    )
    figures += _figures(pictures, captions) + "".join(
        f'<figure class="picture">{_caption(name, captions.get(name, "")) if name in captions else ""}'
        f'<div class="wide" tabindex="0">{chart}</div></figure>'
        for name, chart in charts.items()
    )
    return f"<h2>Pictures</h2>{figures}" if figures else ""


def _caption(name: str, words: str) -> str:
    return f"<figcaption><b>{escape(_title(name))}.</b> {escape(words)}</figcaption>"


def _title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _figures(pictures: Mapping[str, np.ndarray], captions: Mapping[str, str], room: int = _WIDTH) -> str:
    """Pictures, small ones enlarged by a whole factor to at most ``room`` pixels."""
    figures = ""
    for name, pixels in pictures.items():
        words = captions.get(name, CAPTIONS.get(name, ""))
        zoom = min(_MOST_ZOOM, max(1, room // pixels.shape[1]))
        shown = picture(pixels, f"{_title(name)}. {words}".strip(), zoom=zoom)
        if zoom == 1:  # A large picture may contain words. It scrolls, so that they stay legible on a narrow screen.
            shown = f'<div class="wide" tabindex="0">{shown}</div>'
        figures += f'<figure class="picture">{_caption(name, words)}{shown}</figure>'
    return figures


def _beside(numbers: Mapping[str, float], beside: Beside | None) -> str:
    if beside is None:
        return ""
    different = "" if beside.same_data else "The runs were scored on different held-out data. Do not compare their scores."
    warning = beside.missing or different
    shown = {f"{name.replace('_', ' ')}, {beside.name}": pixels for name, pixels in beside.pictures.items()}
    table = "" if beside.missing else _comparison(("this run", beside.name), (numbers, numbers_of(beside.scores)))
    return f"<h2>Beside {escape(beside.name)}</h2>{_warnings([warning] if warning else [])}{table}{_figures(shown, {})}"


def _comparison(names: Sequence[str], scores: Sequence[Mapping[str, float]]) -> str:
    """A table with a column per run. The best score of a row is bold."""
    found = dict.fromkeys(name for one in scores for name in one)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("score", *names))
    lines = ""
    for name in [*(name for name in MEASURES if name in found), *(name for name in found if name not in MEASURES)]:
        known, have = measure(name), [one[name] for one in scores if name in one]
        best = max(have, key=lambda value: known.better * value) if known.better and len(set(have)) > 1 else None
        row = "".join(_cell(name, one.get(name), best) for one in scores)
        lines += f'<tr><th scope="row">{escape(known.title)}<br><code>{escape(name)}</code></th>{row}</tr>'
    note = '<p class="quiet">The best score of a row is bold.</p>'
    return f'<div class="wide" tabindex="0"><table class="numbers compared"><tr>{head}</tr>{lines}</table></div>{note}'


def _cell(name: str, value: float | None, best: float | None) -> str:
    if value is None:
        return "<td>–</td>"
    text = escape(" ".join(in_words(name, value)).strip())
    return f"<td><b>{text}</b></td>" if value == best else f"<td>{text}</td>"


def _likelihood(numbers: Mapping[str, float], words: Words) -> str:
    for dim in ("dim", "sample"):
        stem, bars = f"bits_per_{dim}_", []
        data = numbers.get(f"{stem}reconstruction", 0.0)
        for name, value in numbers.items():
            kind = name.removeprefix(stem)
            if kind not in (name, "reconstruction"):
                codes = max(value - data, 0.0)
                bars.append(Bar(f"{kind} prior", (codes,) if data < 0 else (data, codes), f"{value:.3f}"))
        if bars:
            bars.sort(key=lambda bar: -sum(bar.parts))
            text = (
                f"A model that assigns high probability to {words.examples} can store them in few bits. The bits have two parts: the codes "
                f"under a prior, and the data given its codes. Fewer bits are better.{words.raw}"
            )
            legend = ["codes"] if data < 0 else ["data, given the codes", "codes"]
            if data < 0:
                text += (
                    " The data is continuous, so its bits come from a density and can be negative. The numbers are sums of both parts. The "
                    "bars show only the codes."
                )
            chart = bar_chart(f"bits per {'dimension' if dim == 'dim' else dim}", bars, legend)
            return f"<h2>Likelihood of held-out {escape(words.examples)}</h2><p>{escape(text)}</p>{chart}"
    return ""


def _sizes(sizes: Mapping[str, float], words: Words) -> str:
    if not sizes or not sizes.get("raw"):
        return ""
    bars = [
        Bar(name, (size,), size_in_words(size) + (f", {sizes['raw'] / size:.3g} times smaller" if name != "raw" and size else ""))
        for name, size in sorted(sizes.items(), key=lambda one: -one[1])
    ]
    text = "Mean size of held-out data. Codes are lossy: decoding them gives the reconstruction."
    return f"<h2>Compression</h2><p>{text}</p>{bar_chart(words.stored, bars)}"


def _classes(classes: Mapping[str, Mapping[str, float]], words: Words, grouped_by: str) -> str:
    if not classes:
        return ""
    units = {
        "examples": words.examples,
        "psnr": "PSNR, dB",
        "rmse": "root mean squared error",
        "log_mel_distance": "log-mel distance, dB",
        "bits_per_dim": "bits per dimension",
        "bits_per_second": "bits per second",
    }
    shown = [name for name in units if any(name in one for one in classes.values())]
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in (grouped_by, *(units[name] for name in shown)))
    lines = ""
    for name, one in classes.items():
        cells = "".join(f"<td>{_number(key, one[key])}</td>" if key in one else "<td>–</td>" for key in shown)
        lines += f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'
    table = f'<div class="wide" tabindex="0"><table class="numbers compared"><tr>{head}</tr>{lines}</table></div>'
    if len(classes) > _MOST_CLASSES:
        plural = {"class": "classes"}.get(grouped_by, f"{grouped_by}s")
        table = f"<details><summary>All {len(classes)} {plural}</summary>{table}</details>"
    return f"<h2>Scores by {grouped_by}</h2>{table}"


def _number(key: str, value: float) -> str:
    return f"{value:.4g}" if key == "rmse" else f"{value:.{0 if key == 'examples' else 1 if key == 'bits_per_second' else 2}f}"


def _usage(counts: Tensor | None) -> str:
    if counts is None or not int(counts.sum()):
        return ""
    books, size = counts.shape
    shares = counts.cpu().double() / counts.cpu().sum(1, keepdim=True).clamp(min=1) * size
    ordered = shares.sort(dim=1, descending=True).values.tolist()[:_MOST_CODEBOOKS]
    series = [
        Series(f"codebook {number}", [(float(rank), share) for rank, share in enumerate(row, start=1)])
        for number, row in enumerate(ordered)
    ]
    which = "" if books == 1 else " Each codebook has its own area."
    which += f" Only the first {len(series)} of {books} codebooks are shown." if books > len(series) else ""
    words = f"All {size} codes, the most frequent first. If all codes were equally frequent, each would be at 1.{which}"
    return f'<h2>Use of the codebook</h2><p>{words}</p><div class="chart">{area_chart("frequency by rank", series)}</div>'


def _table(numbers: Mapping[str, float], words: Words) -> str:
    known = [name for name in MEASURES if name in numbers]
    rows = ""
    for name in [*known, *(name for name in numbers if name not in MEASURES)]:
        found, (value, unit) = measure(name, words), in_words(name, numbers[name])
        title = f"{escape(found.title)}<br><code>{escape(name)}</code>"
        rows += f'<tr><th scope="row">{title}</th><td>{value} {escape(unit)}</td><td>{escape(found.meaning)}</td></tr>'
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in ("score", "value", "meaning"))
    return f'<h2>All scores</h2><div class="wide" tabindex="0"><table class="numbers"><tr>{head}</tr>{rows}</table></div>'


def _data(sentences: Sequence[str]) -> str:
    lines = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f'<h2>Data</h2><ul class="facts">{lines}</ul>' if lines else ""


def _times(seconds: Mapping[str, Any]) -> str:
    bars = [Bar(str(stage), (float(value),), duration(float(value))) for stage, value in seconds.items() if is_number(value)]
    return f"<h2>Time</h2>{bar_chart('time by stage', bars)}" if bars else ""


def _serve(command: str) -> str:
    shown = f"<pre>{escape(command)}</pre>"
    return f"<h2>Try it</h2><p>This command serves the run on a page, to look, listen and draw.</p>{shown}" if command else ""


def _again(command: str, settings: str) -> str:
    if command.startswith("# "):
        shown = f"<p>{escape(command[2:])}</p>"
    else:
        shown = f"<p>These commands train the run again, in a new folder.</p><pre>{escape(command)}</pre>" if command else ""
    return f"<h2>Repeat this run</h2>{shown}<details><summary>All settings</summary><pre>{escape(settings)}</pre></details>"
