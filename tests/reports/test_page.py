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
from vqvae.reports.page import MEASURES, Sound, write_report
from vqvae.reports.waves import wave_chart

VOID = {"meta", "link", "img", "br", "line"}


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
    settings = {"title": "A run", "metrics": {}, "pictures": {"samples": pixels}, "rows": rows(), "settings": '{"steps": 100}'}
    write_report(path / "report.html", **{**settings, **changes})
    return Page((path / "report.html").read_text(encoding="utf-8"))


def test_every_measure_is_shown_with_its_unit_and_meaning(tmp_path: Path) -> None:
    metrics = {**dict.fromkeys(MEASURES, 0.5), "psnr": 31.256, "frechet_inception": 12.5, "odd_one": 3.0, "absent": None}
    page = report(tmp_path, metrics={**metrics, "seconds_by_stage": {"tokenizer": 100.0, "prior": 3700.0}})
    for measure in MEASURES.values():
        assert measure.title in page.text and measure.meaning in page.text
    for words in ("31.26 dB", "50.0 %", "Fréchet distance of inception", "Odd one", "1 min 40 s", "1 h 1 min"):
        assert words in page.text, words
    assert "absent" not in page.text


def test_the_gain_of_the_prior_is_worked_out(tmp_path: Path) -> None:
    page = report(tmp_path, metrics={"bits_per_code": 2.0, "bits_per_code_unigram": 8.0})
    assert "75% fewer" in page.text


def test_curves_are_in_bits_and_by_stage(tmp_path: Path) -> None:
    page = report(tmp_path)
    said = [value for tag, name, value in page.attributes if name == "aria-label"]
    assert "bits per dim by step: training ends at 3, held out ends at 3" in said
    assert "loss by step: training ends at 2, held out ends at 2.5" in said
    assert "perplexity by step: training ends at 7" in said
    assert "kl bits per dim by step: training ends at 1" in said
    assert len(said) == 4 and not any("seconds" in words for words in said)
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
        tmp_path, sounds=[Sound("original & more", wave, 8000), Sound("other", -wave, 8000)], charts=[wave_chart("w", {"x": wave}, 8000)]
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
        sounds=[Sound(bad, torch.zeros(9), 8000)],
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
