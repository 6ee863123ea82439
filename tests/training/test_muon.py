"""Muon's steps."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.training import tiny
from vqvae.training import AdamConfig
from vqvae.training.muon import Muon, orthogonal
from vqvae.training.optimizers import Adam


@pytest.mark.parametrize("shape", [(4, 4), (3, 9), (9, 3)])
def test_singular_values_move_close_to_one_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    there = left.t() @ orthogonal(matrix) @ right.t()
    values = there.diagonal()
    assert ((values > 0.6) & (values < 1.3)).all()
    torch.testing.assert_close(there, values.diag(), rtol=0, atol=1e-9)


def test_a_convolution_is_a_matrix_and_momentum_is_nesterovs() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(6, 2, 1, 2, dtype=torch.float64))
    optimizer, expected, momentum = Muon([weight], 0.1), weight.detach().clone(), torch.zeros(6, 4, dtype=torch.float64)
    for _ in range(3):
        gradient = torch.randn(6, 2, 1, 2, dtype=torch.float64)
        weight.grad = gradient
        optimizer.step()
        momentum = 0.95 * momentum + 0.05 * gradient.flatten(1)
        step = orthogonal(0.05 * gradient.flatten(1) + 0.95 * momentum) * 1.5**0.5
        expected = expected - 0.1 * step.view(6, 2, 1, 2)
    torch.testing.assert_close(weight.detach(), expected)


def test_muon_takes_the_weights_of_layers_and_adam_the_rest() -> None:
    module = nn.ModuleDict({"linear": nn.Linear(2, 3), "conv": nn.Conv2d(1, 2, 3), "embedding": nn.Embedding(4, 2)})
    owners = AdamConfig(muon=0.02).build(module).owners()
    by_muon = {name for name, p in module.named_parameters() if isinstance(owners[p], Muon)}
    assert by_muon == {"linear.weight", "conv.weight"}
    assert len(owners) == 5


def test_both_learning_rates_follow_the_schedule() -> None:
    module = nn.Linear(2, 2)
    adam: Adam = AdamConfig(learning_rate=0.1, muon=0.02, warmup_steps=4).build(module)
    module(torch.ones(1, 2)).sum().backward()
    adam.step(adam.norm(), 1, 10)
    assert [optimizer.param_groups[0]["lr"] for optimizer, _ in adam.parts] == pytest.approx([0.05, 0.01])


def test_a_run_with_muon_goes_on_exactly(tmp_path: Path) -> None:
    optimizer = AdamConfig(learning_rate=1e-3, muon=0.01)
    whole = tiny.trainer(tmp_path / "whole", tiny.settings(optimizer=optimizer, steps=8)).run()
    tiny.trainer(tmp_path / "parts", tiny.settings(optimizer=optimizer, steps=4)).run()
    parts = tiny.trainer(tmp_path / "parts", tiny.settings(optimizer=optimizer, steps=8)).run()
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)
