"""Frame by frame is as all frames at once."""

import pytest
import torch

from tests.generation.test_imagination import prior as world_prior
from vqvae.errors import ConfigError
from vqvae.generation.imagination import imagine_codes
from vqvae.generation.playing import Play, memory_of
from vqvae.layers.autoregressive import Choice
from vqvae.priors import MaskedPriorConfig, PixelCNNConfig, SamplingPrior


def masked() -> SamplingPrior:
    torch.manual_seed(0)
    return MaskedPriorConfig(codebook_size=5, passes=2, channels=8, depth=1, memory=3, actions=2, reach=1, blocks=1, width=4).build().eval()


@pytest.mark.parametrize("make", [world_prior, masked])
def test_frames_are_those_that_are_imagined(make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vqvae.layers.autoregressive._has_numba", lambda: False)
    prior = make()
    known = torch.randint(0, 5, (1, 1, 3, 2, 3), generator=torch.Generator().manual_seed(1))
    actions = torch.tensor([[1, 0, 1, 1, 0, 1]])
    expected = imagine_codes(prior, known, 4, actions, seed=9, temperature=0.8)
    play = Play(prior, known, actions[:, :2], seed=9, choice=Choice(0.8))
    frames = torch.stack([play.step(int(action)) for action in actions[0, 2:]], 2)
    assert torch.equal(frames, expected)
    other = Play(prior, known, actions[:, :2], seed=10, choice=Choice(0.8))
    assert not torch.equal(torch.stack([other.step(int(action)) for action in actions[0, 2:]], 2), expected)


def test_a_prior_without_a_memory_is_refused() -> None:
    prior = PixelCNNConfig(codebook_size=5, layers=1, hidden=4).build()
    assert memory_of(prior) is None and memory_of(None) is None
    with pytest.raises(ConfigError, match="no memory"):
        Play(prior, torch.zeros(1, 1, 1, 2, 2, dtype=torch.int64))
    with pytest.raises(ConfigError, match="temperature"):
        Play(world_prior(), torch.zeros(1, 1, 1, 2, 2, dtype=torch.int64), choice=Choice(-1.0))
