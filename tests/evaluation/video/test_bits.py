"""Bits per frame."""

import math

import numpy as np
import pytest
import torch

from vqvae.data.base import Batch, Condition, Dataset
from vqvae.errors import DataError
from vqvae.evaluation.video.bits import CodedEpisode, coded_episodes, first_frame_bits, frame_bits, shifted_bits, single_frame_bits
from vqvae.priors import PixelCNNConfig, WorldPriorConfig
from vqvae.signals import Signal

SIZE = 4


class Coded(Dataset):
    """Two episodes of codes, the second of which is padded."""

    def __init__(self, axes: tuple[str, ...] = ("time", "height", "width")) -> None:
        self.name, self.signal, self.action_names = "coded", Signal(axes=axes, channels=1, levels=SIZE), ("stay", "go")
        self.x = torch.arange(2 * 5 * 2).view(2, 1, 5, 1, 2) % SIZE

    def __len__(self) -> int:
        return 2

    def batch(self, indices: np.ndarray) -> Batch:
        there = torch.arange(5) < torch.tensor([5, 3])[:, None]
        mask = there[:, :, None, None].expand(2, 5, 1, 2)
        return Batch(self.x, Condition(actions=torch.zeros(2, 5, dtype=torch.int64)), mask).take(torch.from_numpy(indices))


def moving(count: int = 3, time: int = 12, seed: int = 0) -> list[CodedEpisode]:
    """Episodes in which the action moves the code by one or leaves it."""
    generator, found = torch.Generator().manual_seed(seed), []
    for _ in range(count):
        actions = torch.randint(0, 2, (time,), generator=generator)
        before = torch.cat([torch.zeros(1, dtype=torch.int64), actions[:-1]]).cumsum(0)
        found.append(CodedEpisode((before % SIZE).view(1, time, 1, 1).expand(1, time, 1, 2), actions))
    return found


def obedient(codes: torch.Tensor, condition: Condition) -> torch.Tensor:
    """Log-probabilities of the rule of ``moving``, followed in 9 of 10 codes."""
    assert condition.actions is not None
    told = (codes[:, :, :-1] + condition.actions[:, None, : codes.shape[2] - 1, None, None]) % SIZE
    right = torch.cat([torch.ones_like(codes[:, :, :1], dtype=torch.bool), told == codes[:, :, 1:]], 2)
    return torch.where(right, math.log(0.9), math.log(0.1 / (SIZE - 1)))


def test_padding_is_not_part_of_an_episode() -> None:
    data = Coded()
    first, second = coded_episodes(data)
    assert torch.equal(first.codes, data.x[0]) and torch.equal(second.codes, data.x[1, :, :3])
    assert second.actions is not None and len(second.actions) == 3
    with pytest.raises(DataError, match="time"):
        list(coded_episodes(Coded(("height", "width", "depth"))))


def test_frames_add_up_to_the_cost_of_the_episode() -> None:
    prior = WorldPriorConfig(codebook_size=SIZE, actions=2, memory=2, width=2, blocks=1, layers=1, hidden=2, output_hidden=2).build()
    episode = moving(1)[0]
    assert episode.actions is not None
    each = frame_bits(prior.code_log_probs, episode)
    whole = -prior.log_prob(episode.codes[None], Condition(actions=episode.actions[None])).detach() / math.log(2)
    assert each.shape == (12,) and float(each.sum()) == pytest.approx(float(whole), rel=1e-5)
    single = first_frame_bits(WorldPriorConfig(codebook_size=SIZE, memory=2, width=2, layers=1, hidden=2).build().code_log_probs, episode)
    assert single.shape == (12,) and single[0] == pytest.approx(float(single[episode.codes[0, :, 0, 0] == 0][-1]), rel=1e-5)


def test_a_prior_of_pictures_scores_each_frame_by_itself() -> None:
    prior, episode = PixelCNNConfig(codebook_size=SIZE, layers=1, hidden=2, output_hidden=2).build(), moving(1, time=40)[0]
    each = single_frame_bits(prior.code_log_probs, episode)
    expected = -prior.log_prob(episode.codes.transpose(0, 1)).detach() / math.log(2)
    torch.testing.assert_close(each, expected)


def test_shifted_actions_cost_more() -> None:
    found = shifted_bits(obedient, moving())
    assert found[0] == pytest.approx(2 * -math.log2(0.9))
    assert found[-1] > found[0] + 1 and found[1] > found[0] + 1
    wrong = [CodedEpisode(codes, actions.roll(1)) for codes, actions in moving() if actions is not None]
    found = shifted_bits(obedient, wrong)
    assert min(found, key=found.__getitem__) == 1, "the shift that repairs a wrong track"


def test_episodes_without_actions_or_frames_cannot_be_shifted() -> None:
    with pytest.raises(DataError, match="no actions"):
        shifted_bits(obedient, [CodedEpisode(torch.zeros(1, 9, 1, 1, dtype=torch.int64), None)])
    with pytest.raises(DataError, match="4 frames"):
        shifted_bits(obedient, moving(time=3))
