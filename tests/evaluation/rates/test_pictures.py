"""Rate and distortion of pictures."""

import pytest
import torch
from torch import Tensor

from tests.codec.models import prior_of
from tests.pipeline.test_model import images, tokenizer
from vqvae.evaluation.rates import pictures
from vqvae.evaluation.rates.curves import Point
from vqvae.evaluation.rates.pictures import codec_points, model_points, shown
from vqvae.media.lossy import lossy_picture
from vqvae.pipeline import Pipeline
from vqvae.reports.grids import labelled_rows


def test_every_mode_has_a_point_with_the_same_scores() -> None:
    model = Pipeline(tokenizer(), integers=[prior_of(codebook_size=5)])
    points, bits = model_points(model, [images(1, 16, 20), images(1, 16, 20)])
    codes = model.encode(images(1, 16, 20)).numel()
    assert all(bits[point.setting] == pytest.approx(point.rate * 320 / codes) for point in points) and bits["lzma"] > 0
    assert [point.setting for point in points] == ["packed", "static", "prior"]
    assert points[0].scores == points[2].scores and points[0].rate == 8 * len(model.compress(images(1, 16, 20), mode="packed")) / 320


def test_other_codecs_are_better_with_more_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "QUALITIES", (5, 80))
    smooth = torch.linspace(0, 200, 64).repeat(1, 3, 48, 1).byte()
    for points in codec_points([smooth + (images(1, 48, 64) // 16)]).values():
        assert points[0].rate < points[-1].rate and points[0].scores["PSNR"] < points[-1].scores["PSNR"] - 0.5


def test_pictures_lie_beside_what_models_and_codecs_of_near_rates_make_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: dict[str, Tensor] = {}
    monkeypatch.setattr(pictures, "labelled_rows", lambda given: rows.update(given) or labelled_rows(given))
    monkeypatch.setattr(pictures, "SIDE", 16)
    model, x = Pipeline(tokenizer()), [images(1, 16, 20), images(1, 22, 16)]
    rates = {"fine": 3.0, "coarse": 0.2, "middle": 0.5, "low": 0.3, "high": 1.0}
    found = {name: [Point(9.0, {}, "packed"), Point(rate, {}, "prior")] for name, rate in rates.items()}
    jpeg = [Point(0.4, {}, "5"), Point(0.8, {}, "40"), Point(2.0, {}, "80")]
    shown(dict.fromkeys(rates, model), found, {"JPEG": jpeg}, x)
    assert list(rows) == ["original", "coarse  0.20", "JPEG  0.40", "middle  0.50", "fine  3.00", "JPEG  2.00"]
    assert torch.equal(rows["original"][0], x[0][0, :, :, 1:17]) and torch.equal(rows["original"][1], x[1][0, :, 2:18])
    assert torch.equal(rows["fine  3.00"][:1], model.reconstruct(x[0])[:, :, :, 1:17])
    assert torch.equal(rows["JPEG  2.00"][0], torch.from_numpy(lossy_picture(x[0][0].numpy(), "JPEG", 80).pixels)[:, :, 1:17])
