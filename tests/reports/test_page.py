"""The report parses, needs nothing else, escapes what it is given, and shows all of it."""

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.errors import CheckpointError
from vqvae.reports.measures import MEASURES, measure, words_of
from vqvae.reports.page import Beside, write_report, write_side_by_side
from vqvae.reports.sounds import Row, Sound
from vqvae.reports.waves import wave_chart

VOID = {"meta", "link", "img", "br", "line"}
WORDS = words_of("pictures", None)


class Page(HTMLParser):
    """Texts, attributes and tags; fails where tags do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def rows() -> list[dict]:
    training = [
        {"step": step, "stage": "tokenizer", "loss": 3 - step / 100, "nats_per_dim": 2.0794415, "seconds": 1.0} for step in (50, 100)
    ]
    held_out = [{"step": 100, "stage": "tokenizer", "held_out_loss": 2.5, "held_out_nats_per_dim": 2.0794415}]
    return [*training, *held_out, {"step": 10, "stage": "prior", "loss": float("nan"), "perplexity": 7.0, "kl_nats_per_dim": 0.6931472}]


def report(path: Path, **changes: object) -> Page:
    pixels = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    settings = {
        "title": "A run",
        "metrics": {},
        "pictures": {"samples": pixels},
        "rows": rows(),
        "words": WORDS,
        "settings": '{"steps": 100}',
    }
    write_report(path / "report.html", **{**settings, **changes})
    return Page((path / "report.html").read_text(encoding="utf-8"))


def test_every_measure_is_shown_with_its_unit_and_meaning(tmp_path: Path) -> None:
    metrics = {**dict.fromkeys(MEASURES, 0.5), "psnr": 31.256, "frechet_inception": 12.5, "odd_one": 3.0, "absent": None}
    page = report(tmp_path, metrics={**metrics, "seconds_by_stage": {"tokenizer": 100.0, "prior": 3700.0}})
    for name in MEASURES:
        shown = measure(name, WORDS)
        assert shown.title in page.text and shown.meaning in page.text and "{" not in shown.title + shown.meaning
    for words in ("31.26 dB", "50.0 %", "Fréchet distance of reconstructions, inception features", "Odd one", "1 min 40 s", "1 h 2 min"):
        assert words in page.text, words
    assert "absent" not in page.text


def test_the_command_that_serves_the_run_is_shown(tmp_path: Path) -> None:
    assert "Try it" not in report(tmp_path).text
    assert "vqvae serve 'a <b>' --open" in report(tmp_path, serve="vqvae serve 'a <b>' --open").text


def test_the_gain_of_the_prior_is_worked_out(tmp_path: Path) -> None:
    page = report(tmp_path, metrics={"bits_per_code": 2.0, "bits_per_code_unigram": 8.0})
    assert "75% fewer" in page.text


def test_curves_are_in_bits_and_by_stage(tmp_path: Path) -> None:
    page = report(tmp_path)
    said = [value for tag, name, value in page.attributes if name == "aria-label"]
    assert not any(words.startswith("bits per dim by step") for words in said), "it does not move"
    assert "loss by step: training ends at 2, held out ends at 2.5" in said
    assert "perplexity by step: training ends at 7" in said
    assert "kl bits per dim by step: training ends at 1" in said
    assert len(said) == 3 and not any("seconds" in words for words in said)
    assert page.text.index("tokenizer") < page.text.index("prior")


def test_pictures_are_inside_and_nothing_is_fetched(tmp_path: Path) -> None:
    page = report(tmp_path, counts=torch.arange(16).view(2, 8))
    (source,) = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    stored = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))))
    assert np.array_equal(stored, np.arange(105, dtype=np.uint8).reshape(5, 7, 3))
    references = [value for _, name, value in page.attributes if name in ("src", "href", "action", "data", "srcset")]
    assert references and all(value.startswith("data:") for value in references)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text and "url(" not in text and "@import" not in text and "http://" not in text and "https://" not in text


def test_sounds_and_charts_are_inside(tmp_path: Path) -> None:
    wave = torch.linspace(-1, 1, 300)
    page = report(
        tmp_path,
        sounds=[Row("clip", (Sound("original & more", wave, 8000), Sound("other", -wave, 8000)))],
        charts={"w": wave_chart("w", {"x": wave}, 8000)},
    )
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("audio", "src")]
    assert len(sources) == 2 and all(source.startswith("data:audio/wav;base64,") for source in sources)
    assert page.text.index("original & more") < page.text.index("other") and "Sounds" in page.text
    # The policy of the page lets them play.
    (policy,) = [value for tag, name, value in page.attributes if name == "content" and "default-src" in value]
    assert "media-src data:" in policy
    assert [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label") and value == "w"]
    assert "Sounds" not in report(tmp_path).text


def test_all_text_is_escaped(tmp_path: Path) -> None:
    bad = "<script>alert('&\"')</script>"
    pixels = np.zeros((2, 2, 3), dtype=np.uint8)
    page = report(
        tmp_path,
        title=bad,
        summary=bad,
        command=bad,
        settings=bad,
        metrics={bad: 1.0, f"frechet_{bad}": 1.0, f"bits_per_dim_{bad}": 2.0, "seconds_by_stage": {bad: 1.0}},
        pictures={bad: pixels},
        sounds=[Row(bad, (Sound(bad, torch.zeros(9), 8000),))],
        captions={bad: bad},
        sizes={"raw": 2.0, bad: 1.0},
        classes={bad: {"psnr": 1.0}},
        warnings=[bad],
        beside=Beside(bad, {bad: 1.0}, {bad: pixels}, False),
        rows=[{"step": step, "stage": bad, bad: 1.0} for step in (1, 2)],
    )
    assert "<script" not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.text.count(bad) >= 9


def test_use_of_the_codebook_is_drawn(tmp_path: Path) -> None:
    page = report(tmp_path, counts=torch.tensor([[0, 30, 10, 0]]))
    (points,) = [value for tag, name, value in page.attributes if (tag, name) == ("polygon", "points")]
    heights = [float(point.split(",")[1]) for point in points.split()][1:-1]
    # The most frequent first, each at its multiple of even use: 3, 1, 0 and 0.
    assert heights == sorted(heights) and (heights[2] - heights[0]) == pytest.approx(3 * (heights[2] - heights[1]), rel=0.01)
    assert "All 4 codes" in page.text
    assert "Use of the codebook" not in report(tmp_path, counts=torch.zeros(1, 4, dtype=torch.int64)).text


def test_a_run_without_anything_has_a_report(tmp_path: Path) -> None:
    page = report(tmp_path, rows=[], pictures={})
    assert "A run" in page.text and "All settings" in page.text and "Learning curves" not in page.text


def test_it_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    with pytest.raises(CheckpointError, match="could not be written"):
        report(tmp_path / "report.html")


def test_small_pictures_are_enlarged_by_a_whole_factor(tmp_path: Path) -> None:
    for width, zoom in ((7, 8), (300, 3), (901, 1)):
        page = report(tmp_path, pictures={"samples": np.zeros((5, width, 3), np.uint8)})
        sizes = {name: int(value) for tag, name, value in page.attributes if tag == "img" and name in ("width", "height")}
        assert sizes == {"width": zoom * width, "height": zoom * 5}


def test_sentences_fit_the_data(tmp_path: Path) -> None:
    metrics = {"bits_per_second_learned": 100.0, "log_mel_distance": 3.0, "bits_per_sample_uniform": 4.0, "codes_used": 0.5}
    text = report(tmp_path, words=words_of("sound", None), metrics=metrics, pictures={}, sizes={"raw": 32_000.0, "FLAC": 16_000.0}).text
    text = text[text.index("vqvae report") :]
    assert "image" not in text and "pixel" not in text
    for words in ("100.0 bit/s", "3.00 dB", "held-out recordings", "bytes per second", "16 kB, 2 times smaller"):
        assert words in text, words


def test_classes_and_warnings_are_shown(tmp_path: Path) -> None:
    classes = {"cat": {"examples": 3.0, "psnr": 20.5, "bits_per_dim": 4.25}, "dog": {"examples": 2.0, "psnr": 19.0}}
    page = report(tmp_path, classes=classes, warnings=["Only 5 images."])
    assert "cat 3 20.50 4.25" in page.text and "dog 2 19.00 –" in page.text and "Only 5 images." in page.text


def test_another_run_stands_beside(tmp_path: Path) -> None:
    other = Beside("second", {"psnr": 21.0, "codes_used": 0.5}, {"samples": np.zeros((2, 2, 3), np.uint8)}, False)
    page = report(tmp_path, metrics={"psnr": 20.0}, beside=other)
    assert "Beside second" in page.text and "20.00 dB 21.00 dB" in page.text and "Do not compare" in page.text
    assert "<b>21.00 dB</b>" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Do not compare" not in report(tmp_path, beside=other._replace(same_data=True)).text


def test_runs_side_by_side(tmp_path: Path) -> None:
    pictures = [{"reconstructions, a": np.zeros((2, 2, 3), np.uint8)}, {}]
    write_side_by_side(tmp_path / "x.html", title="a and b", names=["a", "b"], scores=[{"rmse": 1.0}, {"rmse": 2.0}], pictures=pictures)
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<b>1 in units of the data</b>" in text and "Reconstructions, a" in Page(text).text


def test_every_picture_has_words_and_every_table_has_headers(tmp_path: Path) -> None:
    wave = torch.linspace(-1, 1, 900)
    sound = Sound("original", wave, 8000, torch.zeros(1, 4, dtype=torch.int64), 4)
    page = report(tmp_path, metrics={"psnr": 1.0}, sounds=[Row("clip", (sound,))], sizes={"raw": 2.0}, classes={"a": {"psnr": 2.0}})
    assert all(value for tag, name, value in page.attributes if name in ("alt", "aria-label"))
    assert sum(tag == "img" for tag, name, _ in page.attributes if name == "alt") == 3
    assert {value for tag, name, value in page.attributes if (tag, name) == ("th", "scope")} == {"row", "col"}


def test_bits_of_a_density_may_be_negative(tmp_path: Path) -> None:
    scores = {"bits_per_dim_reconstruction": -0.9, "bits_per_dim_uniform": 0.1, "bits_per_dim_learned": -0.5}
    page = report(tmp_path, metrics=scores)
    assert "come from a density" in page.text and "data, given the codes" not in page.text and "-0.500" in page.text
    assert "bits of a density" not in report(tmp_path, metrics={**scores, "bits_per_dim_reconstruction": 0.05}).text
