"""Rate and distortion of speech."""

import pytest
import torch

from tests.models.test_speech import make
from vqvae.evaluation.rates.speech import codec_points, model_points
from vqvae.pipeline import Pipeline
from vqvae.signals import sound


def wave() -> torch.Tensor:
    seconds = torch.arange(16_000) / 16_000
    tones = sum((2 * torch.pi * 150 * k * seconds).sin() / k for k in range(1, 12))
    return (0.2 * tones * (0.6 + 0.4 * (2 * torch.pi * 3 * seconds).sin()))[None, None].float()


def test_models_have_a_point_and_opus_one_for_each_rate() -> None:
    pytest.importorskip("pystoi")
    pytest.importorskip("av")
    model = Pipeline(make("spectral"), label_names=("she", "he"), signal=sound(16_000))
    (point,), bits = model_points(model, [wave()], "he")
    assert point.setting == "packed" and point.rate == 8 * len(model.compress(wave())) / 1000
    assert bits["packed"] == pytest.approx(1000 * point.rate / model.encode(wave()).numel()) and bits["zlib"] > 0
    (curve,) = codec_points([wave()], 16_000).values()
    assert curve[0].rate < curve[-1].rate and curve[0].scores["log-mel distance"] > curve[-1].scores["log-mel distance"]
    assert curve[-1].scores["STOI"] > 0.9
