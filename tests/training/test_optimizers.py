"""The optimizer and its schedule."""

import math

import pytest
import torch
from torch import nn

from vqvae.errors import ConfigError
from vqvae.models.categorical import CategoricalPosterior
from vqvae.quantizers import VectorQuantizerConfig
from vqvae.training import AdamConfig
from vqvae.training.optimizers import learning_rate, set_learning_rate


def test_the_learning_rate_is_a_function_of_the_step() -> None:
    cosine = AdamConfig(learning_rate=0.1, warmup_steps=4, schedule="cosine")
    assert [learning_rate(cosine, step, 12) for step in range(4)] == pytest.approx([0.025, 0.05, 0.075, 0.1])
    assert learning_rate(cosine, 4, 12) == pytest.approx(0.1)
    assert learning_rate(cosine, 8, 12) == pytest.approx(0.05)
    assert learning_rate(cosine, 11, 12) == pytest.approx(0.05 * (1 + math.cos(math.pi * 7 / 8)))
    constant = AdamConfig(learning_rate=0.1, warmup_steps=2)
    assert [learning_rate(constant, step, 9) for step in (0, 1, 2, 8)] == pytest.approx([0.05, 0.1, 0.1, 0.1])
    assert learning_rate(AdamConfig(schedule="cosine", warmup_steps=5), 4, 5) == pytest.approx(2e-4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_steps_are_those_of_the_paper(memory_format: torch.memory_format) -> None:
    """The fused kernel beside the update rule written out in float64."""
    torch.manual_seed(0)
    module = nn.Conv2d(3, 4, 3, bias=False).to(memory_format=memory_format)
    config = AdamConfig(learning_rate=0.01, betas=(0.8, 0.95), weight_decay=0.1)
    optimizer = config.build(module)
    assert optimizer.defaults["fused"] is True
    weight, first, second = module.weight.detach().double(), torch.zeros(4, 3, 3, 3).double(), torch.zeros(4, 3, 3, 3).double()
    for step in range(1, 6):
        gradient = torch.randn(4, 3, 3, 3)
        module.weight.grad = gradient.contiguous(memory_format=memory_format)
        optimizer.step()
        first, second = 0.8 * first + 0.2 * gradient, 0.95 * second + 0.05 * gradient.double() ** 2
        update = (first / (1 - 0.8**step)) / ((second / (1 - 0.95**step)).sqrt() + 1e-8)
        weight = weight * (1 - 0.01 * 0.1) - 0.01 * update
        torch.testing.assert_close(module.weight.double(), weight, rtol=1e-5, atol=1e-6)


def test_biases_and_codebooks_do_not_decay() -> None:
    module = nn.ModuleDict({"linear": nn.Linear(2, 3), "quantizer": VectorQuantizerConfig(dim=2, codebook_size=4).build()})
    module["posterior"] = CategoricalPosterior(codebook_size=2, num_codebooks=1, dim=2)
    module.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)
    groups = AdamConfig(weight_decay=0.1).build(module).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    named = {name: decay.get(id(p)) for name, p in module.named_parameters()}
    assert named == {"frozen": None, "linear.weight": 0.1, "linear.bias": 0.0, "quantizer.codebook": 0.0, "posterior.codebook": 0.0}


def test_an_encoder_may_learn_more_slowly_than_the_rest() -> None:
    module = nn.ModuleDict({"encoder": nn.Linear(1, 1), "decoder": nn.Linear(1, 1)})
    config = AdamConfig(learning_rate=0.1, warmup_steps=2, encoder_share=0.25)
    optimizer = config.build(module)
    for step, factor in enumerate((0.5, 1.0, 1.0)):
        set_learning_rate(optimizer, config, step, 3)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        found = [rates[id(p)] for p in module.parameters()]
        assert found == pytest.approx([0.025 * factor] * 2 + [0.1 * factor] * 2)


def test_wrong_settings_are_refused() -> None:
    for changes in (
        {"learning_rate": 0.0},
        {"betas": (0.9, 1.0)},
        {"weight_decay": -1.0},
        {"warmup_steps": -1},
        {"clip_norm": -1.0},
        {"encoder_share": -1.0},
    ):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            AdamConfig(**changes)
    with pytest.raises(ConfigError, match="ReLU has no parameters"):
        AdamConfig().build(nn.ReLU())
