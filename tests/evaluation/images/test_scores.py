"""What is found out about a model of images."""

import math

import numpy as np
import pytest
import torch

from tests.training import tiny
from vqvae.data import SyntheticImagesConfig
from vqvae.data.base import Condition
from vqvae.data.own import Subset
from vqvae.evaluation.images.maps import error_maps
from vqvae.evaluation.images.reconstruction import psnr
from vqvae.evaluation.images.scores import class_rows, log_priors, score_images
from vqvae.pipeline import Pipeline
from vqvae.priors import PixelCNNConfig, UnigramPriorConfig

HELD_OUT = SyntheticImagesConfig(count=60, size=8, classes=3).build().held_out


def pipeline(classes: int | None) -> Pipeline:
    """A tokenizer; with the frequencies of its codes and a prior where there is a number of classes."""
    torch.manual_seed(0)
    model = tiny.model().build().eval()
    if classes is None:
        return Pipeline(model, size=(8, 8))
    unigram = UnigramPriorConfig(codebook_size=8).build()
    unigram.count(model.encode(HELD_OUT.batch(torch.arange(len(HELD_OUT)).numpy()))[0])
    prior = PixelCNNConfig(codebook_size=8, classes=classes, layers=1, hidden=4, output_hidden=4).build()
    return Pipeline(model, prior, unigram=unigram, label_names=tuple("abc"[:classes]), size=(8, 8))


def test_scores_that_need_a_prior_are_there_without_a_value() -> None:
    found = score_images(pipeline(None), HELD_OUT)
    assert found.scores["bits_per_dim_learned"] is found.scores["bits_per_code"] is None
    assert found.scores["bits_per_code_uniform"] == pytest.approx(3) and found.scores["examples"] == len(HELD_OUT)
    assert set(found.pictures) == {"reconstructions", "code_maps", "worst_cases"} and not found.charts and not found.sounds
    assert int(found.counts.sum()) == len(HELD_OUT) * 16


def test_priors_add_their_scores_and_samples() -> None:
    model = pipeline(0)
    found = score_images(model, HELD_OUT)
    batch = HELD_OUT.batch(torch.arange(len(HELD_OUT)).numpy())
    (codes,) = model.tokenizer.encode(batch)
    for name, prior in (("bits_per_code", model.prior), ("bits_per_code_unigram", model.unigram)):
        expected = -float(prior.log_prob(codes).detach().double().sum()) / codes.numel() / math.log(2)
        assert found.scores[name] == pytest.approx(expected, rel=1e-5)
    assert found.pictures["samples"].shape[2] == 3 and found.scores["frechet_samples_tokenizer-latents"] >= 0


def test_one_held_out_example_is_scored() -> None:
    found = score_images(pipeline(0), Subset(HELD_OUT, np.arange(1), "one"))
    assert found.scores["examples"] == 1 and math.isfinite(found.scores["psnr"]) and math.isfinite(found.scores["bits_per_dim_learned"])
    assert [value for name, value in found.scores.items() if name.startswith("frechet")] == [None, None]


def test_a_prior_is_given_the_classes_that_it_takes() -> None:
    codes, label = torch.randint(0, 8, (2, 1, 4, 4)), Condition(label=torch.tensor([0, 2]))
    conditional, plain = pipeline(3), pipeline(0)
    torch.testing.assert_close(log_priors(conditional)["learned"](codes, label), conditional.prior.log_prob(codes, label))
    torch.testing.assert_close(log_priors(plain)["learned"](codes, label), plain.prior.log_prob(codes))
    assert set(log_priors(pipeline(None))) == set()
    rows = class_rows(conditional, (8, 8))
    assert rows.ndim == 3 and rows.shape[0] > 3 * 8


def test_classes_sizes_and_surprise() -> None:
    found = score_images(pipeline(3), HELD_OUT)
    names = tuple("abc")
    assert tuple(found.classes) == names and sum(one["examples"] for one in found.classes.values()) == len(HELD_OUT)
    for name in ("psnr", "bits_per_dim"):
        mean = sum(one["examples"] * one[name] for one in found.classes.values()) / len(HELD_OUT)
        assert mean == pytest.approx(found.scores["psnr" if name == "psnr" else "bits_per_dim_learned"], rel=1e-4)
    assert found.pictures["surprise"].shape[0] > 2 * 96 and "bits" in found.captions["surprise"]
    channels = HELD_OUT.signal.channels
    assert found.sizes["raw"] == 64 * channels and found.sizes["codes, fixed length"] == pytest.approx(16 * 3 / 8)
    assert found.sizes["PNG, lossless"] > 0
    smallest = min(size for name, size in found.sizes.items() if name.startswith("codes"))
    assert found.scores["compression_ratio"] == pytest.approx(found.sizes["raw"] / smallest)
    assert any("only 60 held-out images" in warning for warning in found.warnings) == (len(HELD_OUT) == 60 < 100)


def test_the_worst_case_comes_first() -> None:
    model = pipeline(None)
    found = score_images(model, HELD_OUT)
    batch = HELD_OUT.batch(torch.arange(len(HELD_OUT)).numpy())
    worst = int(psnr(batch.x, model.reconstruct(batch.x)).argmin())
    expected, _ = error_maps(batch.x[worst][None], model.reconstruct(batch.x[worst][None]))
    # The original of the worst image is the first tile; rows are 96 high.
    assert (found.pictures["worst_cases"][:96, : expected.shape[1]] == expected[:96]).all()
