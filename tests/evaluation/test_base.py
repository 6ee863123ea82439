"""Costs of positions, sizes and warnings."""

import math

import pytest
import torch

from tests.training import tiny
from vqvae.codes import Codes
from vqvae.data.base import Condition
from vqvae.evaluation.base import bits_of_positions, coded_sizes, compression, warnings_about
from vqvae.pipeline import Pipeline
from vqvae.priors import PixelCNNConfig, UnigramPriorConfig


def pipeline(classes: int = 0, trained: int = 100) -> Pipeline:
    unigram = UnigramPriorConfig(codebook_size=8).build()
    unigram.count(torch.zeros(1, 1, 1, trained, dtype=torch.int64))
    prior = PixelCNNConfig(codebook_size=8, classes=classes, layers=1, hidden=4, output_hidden=4).build().eval()
    return Pipeline(tiny.model().build().eval(), prior, unigram=unigram, label_names=tuple("ab"[:classes]), size=(8, 8))


def test_bits_of_positions_add_up() -> None:
    model, codes = pipeline(), Codes([torch.randint(0, 8, (3, 1, 4, 4))])
    (bits,) = bits_of_positions(model, codes, Condition())
    assert bits.shape == (3, 4, 4)
    torch.testing.assert_close(bits.flatten(1).sum(1), -model.log_prior(codes[0]).detach() / math.log(2))


def test_there_are_none_without_a_prior_or_a_label() -> None:
    codes = Codes([torch.zeros(2, 1, 4, 4, dtype=torch.int64)])
    assert bits_of_positions(pipeline(2), codes, Condition()) == []
    assert len(bits_of_positions(pipeline(2), codes, Condition(label=torch.tensor([0, 1])))) == 1
    assert bits_of_positions(Pipeline(tiny.model().build()), codes, Condition()) == []


def test_compression_is_of_the_smallest_codes() -> None:
    sizes = coded_sizes(1_600.0, {"uniform": 80 * math.log(2), "learned": 40 * math.log(2)}, 2.0)
    assert sizes == pytest.approx({"raw": 100.0, "codes, fixed length": 5.0, "codes, learned prior": 2.5})
    assert compression(sizes) == pytest.approx({"compression_ratio": 40.0}) and compression({"raw": 1.0}) == {}


def test_few_examples_and_few_codes_are_warned_about() -> None:
    counts = torch.tensor([[200, 0, 0, 0, 0, 0, 0, 0]])
    assert warnings_about(pipeline(), counts, 100, "images") == ()
    few = warnings_about(pipeline(trained=5), counts // 100, 7, "images")
    assert "only 7 held-out images" in few[0] and "training data has 5 codes, fewer than the 8" in few[1]
    assert "held-out data has 2 codes, so at most 25% of the 8" in few[2] and len(few) == 3
