"""What a pipeline asks of its parts."""

import inspect

import pytest
import torch

from tests.pipeline.test_model import prior, tokenizer
from vqvae.codes import Level
from vqvae.data.base import Condition
from vqvae.errors import ConfigError
from vqvae.pipeline.parts import continuation, describe, log_prob, mixture_log_prob
from vqvae.storage import RunCard


def test_without_a_label_the_classes_are_mixed() -> None:
    model, codes = prior(classes=3).eval(), torch.zeros(2, 1, 2, 2, dtype=torch.int64)
    assert torch.equal(log_prob(model, codes, Condition(), None), mixture_log_prob(model, codes))
    label = torch.tensor([0, 1])
    assert torch.equal(log_prob(model, codes, Condition(label=label), None), model.log_prob(codes, Condition(label=label)))


def test_what_is_not_known_is_left_out_of_the_description() -> None:
    text = describe(tokenizer(), (), RunCard(), torch.device("cpu"))
    assert "prior: none" in text and "recipe" not in text and "trained at" not in text


@pytest.mark.parametrize("steps", [1.5, "2", True, 0, -1])
def test_a_number_of_steps_is_a_whole_number(steps: object) -> None:
    level = Level(num_codebooks=1, codebook_size=8, stride=(1, 2, 2))
    frames = torch.zeros(1, 3, 2, 4, 4, dtype=torch.uint8)
    with pytest.raises(ConfigError, match="steps is .*; it must be a whole number, at least 1"):
        inspect.unwrap(continuation)(prior(), level, (), frames, (), None, steps)
