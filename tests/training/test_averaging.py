"""The moving average of weights."""

import pytest
import torch
from torch import nn

from vqvae.training import Average


def test_the_average_is_the_closed_form() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)
    average = Average(module, decay=0.3)
    expected = {name: value.double() for name, value in module.state_dict().items()}
    for step in range(8):
        for value in module.state_dict().values():
            value.copy_(torch.randn_like(value) if value.is_floating_point() else torch.tensor(step))
        average.update(module, step)
        decay = min(0.3, (1 + step) / (10 + step))
        expected = {name: decay * expected[name] + (1 - decay) * value for name, value in module.state_dict().items()}
    for name, value in average.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
    assert average.module[1].num_batches_tracked == 7
    assert average.module[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_the_start_is_forgotten_soon() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    average = Average(module, decay=0.9999)
    nn.init.ones_(module.weight)
    average.update(module, 0)
    assert average.module.weight.item() == pytest.approx(0.9)


def test_the_average_is_a_copy_that_learns_nothing() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    average = Average(module, decay=0.5)
    before = average.module[0].weight.clone()
    nn.init.zeros_(module[0].weight)
    assert torch.equal(average.module[0].weight, before)
    assert not average.module.training and module.training
    assert not any(p.requires_grad for p in average.module.parameters())
    assert all(p.requires_grad for p in module.parameters())


def test_a_buffer_that_is_put_in_place_of_another_is_followed() -> None:
    module = nn.BatchNorm1d(2)
    average = Average(module, decay=0.0)
    module.running_mean = torch.tensor([3.0, 4.0])
    average.update(module, 5)
    assert average.module.running_mean.tolist() == [3, 4]
