"""The optimizer and its schedule."""

import math

import pytest
import torch
from torch import nn

from tests.training import adversary, tiny
from tests.training.test_joint import settings as joint_settings
from vqvae.errors import ConfigError
from vqvae.models.categorical import CategoricalPosterior
from vqvae.priors import PixelCNNConfig
from vqvae.quantizers import VectorQuantizerConfig
from vqvae.training import AdamConfig
from vqvae.training.optimizers import Adam, build_optimizers, learning_rate


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
    assert optimizer.parts[0][0].defaults["fused"] is True
    weight, first, second = module.weight.detach().double(), torch.zeros(4, 3, 3, 3).double(), torch.zeros(4, 3, 3, 3).double()
    for step in range(1, 6):
        gradient = torch.randn(4, 3, 3, 3)
        module.weight.grad = gradient.contiguous(memory_format=memory_format)
        optimizer.step(optimizer.norm(), step - 1, 5)
        assert module.weight.grad is None
        first, second = 0.8 * first + 0.2 * gradient, 0.95 * second + 0.05 * gradient.double() ** 2
        update = (first / (1 - 0.8**step)) / ((second / (1 - 0.95**step)).sqrt() + 1e-8)
        weight = weight * (1 - 0.01 * 0.1) - 0.01 * update
        torch.testing.assert_close(module.weight.double(), weight, rtol=1e-5, atol=1e-6)


def test_biases_and_codebooks_do_not_decay() -> None:
    module = nn.ModuleDict({"linear": nn.Linear(2, 3), "quantizer": VectorQuantizerConfig(dim=2, codebook_size=4).build()})
    module["posterior"] = CategoricalPosterior(codebook_size=2, num_codebooks=1, dim=2)
    module.frozen = nn.Parameter(torch.zeros(2, 2), requires_grad=False)
    groups = AdamConfig(weight_decay=0.1).build(module).parts[0][0].param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    named = {name: decay.get(id(p)) for name, p in module.named_parameters()}
    assert named == {"frozen": None, "linear.weight": 0.1, "linear.bias": 0.0, "quantizer.codebook": 0.0, "posterior.codebook": 0.0}


def named_groups(module: nn.Module, optimizer: Adam) -> list[tuple[list[str], float, float]]:
    """What each group of parameters holds, in order: names, share of the learning rate, weight decay."""
    names = {id(p): name for name, p in module.named_parameters()}
    groups = optimizer.parts[0][0].param_groups
    return [([names[id(p)] for p in group["params"]], group["share"], group["weight_decay"]) for group in groups]


def test_the_groups_of_a_model_are_in_the_order_of_its_encoder_and_the_rest() -> None:
    module = tiny.model().build()
    parameters = [(name, name.startswith("encoder."), p.ndim > 1) for name, p in module.named_parameters()]
    expected = [
        ([name for name, *found in parameters if found == [slow, decays]], 0.25 if slow else 1.0, 0.1 if decays else 0.0)
        for slow in (True, False)
        for decays in (True, False)
    ]
    assert all(names for names, _, _ in expected)
    assert named_groups(module, AdamConfig(weight_decay=0.1, encoder_share=0.25).build(module)) == expected


@pytest.mark.parametrize("kind", ["alone", "joint"])
def test_an_encoder_may_learn_more_slowly_than_the_rest(kind: str) -> None:
    module = tiny.model().build() if kind == "alone" else joint_settings().build()
    encoder = module.encoder if kind == "alone" else module.tokenizer.encoder
    config = AdamConfig(learning_rate=0.1, warmup_steps=2, encoder_share=0.25)
    optimizer = config.build(module)
    slow = {id(p) for p in encoder.parameters()}
    for step, factor in enumerate((0.5, 1.0, 1.0)):
        optimizer.step(torch.zeros(()), step, 3)
        rates = {id(p): group["lr"] for group in optimizer.parts[0][0].param_groups for p in group["params"]}
        assert len(rates) == len(list(module.parameters())) > len(slow)
        assert all(rate == pytest.approx((0.025 if number in slow else 0.1) * factor) for number, rate in rates.items())


def test_an_encoder_share_of_a_module_without_an_encoder_is_refused() -> None:
    for module in (nn.Linear(2, 2), nn.ModuleDict({"encoder": nn.Linear(1, 1)}), PixelCNNConfig(codebook_size=4, layers=1).build()):
        with pytest.raises(ConfigError, match=rf"encoder_share is 0.5.*{type(module).__name__}.*Set it to 1"):
            AdamConfig(encoder_share=0.5).build(module)
        AdamConfig().build(module)


def test_every_parameter_has_one_optimizer() -> None:
    module = adversary.model().build()
    model, theirs = build_optimizers(module, AdamConfig(encoder_share=0.5), AdamConfig(learning_rate=1.0))
    names = {id(p): name for name, p in module.named_parameters()}
    assert [names[id(p)] for p in theirs.parameters] == [name for name in names.values() if name.startswith("further.")]
    assert [names[id(p)] for p in model.parameters] == [name for name in names.values() if not name.startswith("further.")]
    assert (model.config.learning_rate, theirs.config.learning_rate) == (2e-4, 1.0)
    for further in module.further.parameters():
        further.requires_grad_(False)
    assert len(build_optimizers(module, AdamConfig(), AdamConfig())) == 1
    assert len(build_optimizers(tiny.model().build(), AdamConfig(), AdamConfig(encoder_share=0.5))) == 1


def test_gradients_are_clipped_by_their_norm_together() -> None:
    module = nn.Linear(2, 1)
    module.weight.grad, module.bias.grad = torch.tensor([[3.0, 0.0]]), torch.tensor([4.0])
    optimizer = AdamConfig(clip_norm=0.5).build(module)
    assert optimizer.norm().item() == 5.0
    optimizer.step(optimizer.norm(), 0, 1)
    means = [optimizer.parts[0][0].state[p]["exp_avg"].flatten().tolist() for p in (module.weight, module.bias)]
    assert means == [pytest.approx([0.03, 0.0]), pytest.approx([0.04])], "a tenth of what is left of the gradient"


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
