"""The distance of pixels: its formula over levels and floats, and settings that make no sense."""

import pytest
import torch

from vqvae.errors import ConfigError
from vqvae.likelihoods import PixelDistance, PixelDistanceConfig


def make(**settings: int | None) -> PixelDistance:
    return PixelDistanceConfig(**settings).build()


@pytest.mark.parametrize("levels", [2, 256, 65_536])
@pytest.mark.parametrize("power", [1, 2])
def test_it_is_the_difference_of_data_from_minus_one_to_one(levels: int, power: int) -> None:
    distance, generator = make(channels=2, power=power, levels=levels), torch.Generator().manual_seed(0)
    p = torch.randn(3, 2, 4, 5, generator=generator)
    x = torch.randint(0, levels, (3, 2, 4, 5), generator=generator)
    unit = 2 * x.double() / (levels - 1) - 1
    expected = (p.double() - unit).abs().pow(power).flatten(1).sum(1)
    torch.testing.assert_close(distance.loss(p, x).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("power", [1, 2])
def test_floats_are_compared_as_they_are(power: int) -> None:
    distance, generator = make(channels=5, power=power, levels=None), torch.Generator().manual_seed(0)
    p, x = (10 * torch.randn(3, 5, 4, generator=generator) for _ in range(2))
    torch.testing.assert_close(distance.loss(p, x), (p - x).abs().pow(power).flatten(1).sum(1))
    assert torch.equal(distance.mode(p), p)


def test_what_is_told_right_costs_nothing_and_the_mode_is_its_level() -> None:
    distance = make(channels=1)
    x = torch.arange(256, dtype=torch.uint8).view(256, 1, 1)
    p = (x.float() - 127.5) / 127.5
    torch.testing.assert_close(distance.loss(p, x), torch.zeros(256), rtol=0, atol=1e-6)
    assert torch.equal(distance.mode(p), x) and distance.mode(p + 3).eq(255).all()


@pytest.mark.parametrize(("settings", "match"), [({"channels": 0}, "channels is 0"), ({"levels": 1}, "levels is 1")])
def test_settings_that_make_no_sense_are_errors(settings: dict, match: str) -> None:
    with pytest.raises(ConfigError, match=f"PixelDistanceConfig.{match}"):
        make(**settings)
