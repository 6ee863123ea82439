"""``vqvae bench codec FOLDER --runs RUN...``."""

import shlex
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from torch import Tensor

from vqvae import pipeline
from vqvae.cli.arguments import note, parse
from vqvae.cli.files import check_folder
from vqvae.cli.values import Device, Folder
from vqvae.config import settings
from vqvae.data.files import find_files
from vqvae.disk import check_outputs
from vqvae.errors import ConfigError, DataError
from vqvae.evaluation.kinds import PICTURES, SOUND, Kind, kind_of, sample_rate_of, whole
from vqvae.evaluation.rates import pictures, speech
from vqvae.evaluation.rates.curves import Point, bits_table, lines, table
from vqvae.media.images import write_png
from vqvae.pipeline import Pipeline
from vqvae.progress import tracked
from vqvae.reports.charts import save_line_chart
from vqvae.reports.results import markdown_table, write_results
from vqvae.signals import Signal
from vqvae.training.machine import pick_device

NAMES = {PICTURES.name: "rate-distortion", SOUND.name: "rate-distortion-speech"}
"""The names of the result files of each kind of data."""
_NOTES = {
    PICTURES.name: "Each row is a model in one mode. The other columns show JPEG, WebP and AVIF (Pillow, default chroma subsampling) at "
    "the same bits per pixel, on a straight line between the two nearest qualities. “–”: the codec makes no files of that size. The "
    "smallest files of each codec have a row. Sizes are those of whole files, with their headers. PSNR is in dB over all three channels. "
    "MS-SSIM is at most 1. The pictures below show windows of a few files. Numbers beside their rows are bits per pixel, over all files.",
    SOUND.name: "Each row is a model in one mode. The Opus columns show Opus (libopus, variable rate) at the same rate. “–”: Opus cannot "
    "go so low. The last row is its lowest rate. The rate of Opus is that of its packets, the rate of a model that of whole files. "
    "STOI is at most 1. The log-mel distance is in dB; lower is better.",
}

_ALONE = (
    "## The codes alone\n\nBits per code. For the modes, whole files count, with their headers. General compressors get the codes of all "
    "files at once, without headers, each at its highest level and in the layout of codes that suits it best."
)


@settings
class Arguments:
    what: Annotated[tyro.conf.Positional[Literal["codec"]], tyro.conf.arg(metavar="codec")]
    """What to measure. "codec": the rate and the distortion of compressed files."""
    folder: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FOLDER")]
    """A folder of pictures or recordings that no model was trained on."""
    runs: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN ...")] = ()
    """The run folders to measure. All have the same kind of data."""
    out: Folder = Path("rate-distortion")
    """Folder for the results: a table, its numbers as JSON, a chart of each score, and pictures side by side."""
    count: int = 32
    """Number of files to measure, spread over the folder."""
    speaker: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """The speaker whose voice is used, by name or number, if a decoder has speakers."""
    overwrite: bool = False
    """Replace existing results."""
    device: Device = "auto"
    """Where to compute: "cpu", "cuda", "cuda:1" or "mps". "auto": CUDA if available, otherwise the CPU."""


def main(arguments: Sequence[str]) -> int:
    """Measure the rate and the distortion of runs, compared with other codecs."""
    about = "Measure the rate and the distortion of compressed files, compared with other codecs."
    chosen = parse(Arguments, "bench", arguments, about)
    if not chosen.runs:
        raise ConfigError("No runs were given: vqvae bench codec FOLDER --runs RUN...")
    check_folder(chosen.out)
    models = {run.name: pipeline.load(run, pick_device(chosen.device)) for run in chosen.runs}
    if len(models) < len(chosen.runs):
        raise ConfigError(f"Two runs have the same name: {', '.join(map(str, chosen.runs))}. Rename one.")
    kind, signal = _kind(list(models.values()))
    name, scores = NAMES[kind.name], (pictures if kind is PICTURES else speech).SCORES
    charts = {score: chosen.out / f"{name}-{score.lower().replace(' ', '-')}.svg" for score in scores}
    drawn = {"pictures at these rates": chosen.out / f"{name}.png"} if kind is PICTURES else {}
    texts = [chosen.out / f"{name}{suffix}" for suffix in (".md", ".json")]
    check_outputs([*charts.values(), *drawn.values(), *texts], overwrite=chosen.overwrite)
    began, files = time.perf_counter(), _files(chosen.folder, kind, chosen.count)

    def examples(doing: str) -> Iterator[Tensor]:
        return (whole(kind.read(file, signal)) for file in tracked(files, doing, len(files)))

    if kind is PICTURES:
        measured = {run: pictures.model_points(model, examples(f"compressing with {run}")) for run, model in models.items()}
        others, unit, most = pictures.codec_points(examples("other codecs")), pictures.UNIT, 2.0
    else:
        measured = {run: speech.model_points(model, examples(f"compressing with {run}"), chosen.speaker) for run, model in models.items()}
        others, unit, most = speech.codec_points(examples("Opus"), sample_rate_of(signal)), speech.UNIT, 32.0
    found, bits = ({run: one.points for run, one in measured.items()}, {run: one.bits for run, one in measured.items()})
    columns, rows = table(found, others, scores, unit)
    alone = markdown_table(*bits_table(bits))
    for score, chart in charts.items():
        chart.parent.mkdir(parents=True, exist_ok=True)
        save_line_chart(chart, f"{score} by {unit}", lines(found, others, score, most), dots=True)
    for strip in drawn.values():
        first = [whole(kind.read(file, signal)) for file in files[: pictures.SHOWN]]
        write_png(strip, pictures.shown(models, found, others, first))
    print(markdown_table(columns, rows), alone, sep="\n\n")
    write_results(
        chosen.out,
        name,
        title="Rate and distortion of speech" if kind is SOUND else "Rate and distortion of pictures",
        command=_command(chosen),
        columns=columns,
        rows=rows,
        values={"files": len(files), "unit": unit, "models": _plain(found), "codecs": _plain(others), "bits_per_code": bits},
        seconds=time.perf_counter() - began,
        notes="\n\n".join([_NOTES[kind.name], *(f"![{what}]({path.name})" for what, path in (charts | drawn).items()), _ALONE, alone]),
    )
    note(f"The results are in {chosen.out}.")
    return 0


def _command(chosen: Arguments) -> str:
    """The command as one types it."""
    speaker = () if chosen.speaker is None else ("--speaker", chosen.speaker)
    words = ("vqvae", "bench", "codec", chosen.folder, "--runs", *chosen.runs, "--count", chosen.count, *speaker)
    return shlex.join(map(str, words))


def _kind(models: Sequence[Pipeline]) -> tuple[Kind, Signal]:
    """The kind and the signal of all models."""
    kinds = {kind_of(model.signal).name: kind_of(model.signal) for model in models}
    if len(kinds) > 1 or not set(kinds) <= set(NAMES):
        raise ConfigError(f"The runs are models of {' and '.join(kinds)}; give runs of pictures only, or of sound only.")
    if len({model.signal for model in models}) > 1:
        raise ConfigError("The runs have different signals: channels, levels or sample rates. Measure them one by one.")
    if kinds.keys() == {PICTURES.name} and models[0].signal.levels != 256:
        raise ConfigError("The other codecs store 8 bits per channel. Give runs of pictures with 256 levels.")
    return next(iter(kinds.values())), models[0].signal


def _files(folder: Path, kind: Kind, count: int) -> list[Path]:
    """At most ``count`` files of a folder, spread evenly.

    Raises:
        ConfigError: if the count is below 1.
        DataError: if there are no such files.
    """
    if count < 1:
        raise ConfigError(f"--count is {count}; it must be at least 1.")
    names = find_files(folder, kind.inputs) if folder.is_dir() else []
    if not names:
        raise DataError(f"{folder} holds no {kind.name} ({', '.join(kind.inputs)}). Give a folder of files.")
    return [folder / names[i * len(names) // min(count, len(names))] for i in range(min(count, len(names)))]


def _plain(curves: dict[str, list[Point]]) -> dict[str, list[dict[str, object]]]:
    return {name: [{"rate": point.rate, "setting": point.setting, **point.scores} for point in curve] for name, curve in curves.items()}
