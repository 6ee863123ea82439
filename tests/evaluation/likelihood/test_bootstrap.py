"""The paired bootstrap."""

import pytest
import torch

from vqvae.errors import DataError
from vqvae.evaluation.likelihood.bootstrap import compare


def scores(seed: int, lengths: tuple[int, ...], spread: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [spread * torch.randn(length, generator=generator) for length in lengths]


def test_a_constant_difference_has_no_spread() -> None:
    first = scores(0, (5, 9, 2))
    found = compare(first, [one - 3 for one in first])
    assert tuple(found) == pytest.approx((3, 3, 3), abs=1e-6)


def test_the_interval_is_that_of_the_mean_of_episodes() -> None:
    # 400 episodes of one frame: the mean is normal with a standard deviation of 1/20.
    first = scores(1, (1,) * 400)
    found = compare(first, [torch.zeros(1)] * 400)
    assert found.mean == pytest.approx(float(torch.cat(first).mean()), abs=1e-6)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 / 20, rel=0.15)
    assert found == compare(first, [torch.zeros(1)] * 400), "the same seed gives the same interval"
    assert found != compare(first, [torch.zeros(1)] * 400, seed=1)


def test_frames_of_one_episode_are_resampled_together() -> None:
    each = scores(2, (1,) * 50)
    wide, zeros = [one.expand(20) for one in each], [torch.zeros(20)] * 50
    assert tuple(compare(wide, zeros)) == pytest.approx(tuple(compare(each, [torch.zeros(1)] * 50)))


def test_longer_episodes_weigh_more() -> None:
    assert compare([torch.ones(30), torch.zeros(10)], [torch.zeros(30), torch.zeros(10)]).mean == pytest.approx(0.75)


@pytest.mark.parametrize(("first", "second"), [((3,), (4,)), ((2, 2), (4,)), ((), ()), ((0,), (0,))])
def test_other_frames_are_refused(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="same frames"):
        compare(scores(0, first), scores(0, second))
