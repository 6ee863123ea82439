"""Rate and distortion of pictures."""

import pytest
import torch

from tests.codec.models import prior_of
from tests.pipeline.test_model import images, tokenizer
from vqvae.evaluation.rates import pictures
from vqvae.evaluation.rates.pictures import codec_points, model_points
from vqvae.pipeline import Pipeline


def test_every_mode_has_a_point_with_the_same_scores() -> None:
    model = Pipeline(tokenizer(), integers=[prior_of(codebook_size=5)])
    points = model_points(model, [images(1, 16, 20), images(1, 16, 20)])
    assert [point.setting for point in points] == ["packed", "static", "prior"]
    assert points[0].scores == points[2].scores and points[0].rate == 8 * len(model.compress(images(1, 16, 20), mode="packed")) / 320


def test_other_codecs_are_better_with_more_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "QUALITIES", (5, 80))
    smooth = torch.linspace(0, 200, 64).repeat(1, 3, 48, 1).byte()
    for points in codec_points([smooth + (images(1, 48, 64) // 16)]).values():
        assert points[0].rate < points[-1].rate and points[0].scores["PSNR"] < points[-1].scores["PSNR"] - 0.5
