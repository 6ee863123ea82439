"""What a pipeline asks of its parts."""

import torch

from tests.pipeline.test_model import prior, tokenizer
from vqvae.data.base import Condition
from vqvae.pipeline.parts import describe, log_prob, mixture_log_prob
from vqvae.storage import RunCard


def test_without_a_label_the_classes_are_mixed() -> None:
    model, codes = prior(classes=3).eval(), torch.zeros(2, 1, 2, 2, dtype=torch.int64)
    assert torch.equal(log_prob(model, codes, Condition(), None), mixture_log_prob(model, codes))
    label = torch.tensor([0, 1])
    assert torch.equal(log_prob(model, codes, Condition(label=label), None), model.log_prob(codes, Condition(label=label)))


def test_what_is_not_known_is_left_out_of_the_description() -> None:
    text = describe(tokenizer(), (), RunCard(), torch.device("cpu"))
    assert "prior: none" in text and "recipe" not in text and "trained at" not in text
