"""Codes that are watched while they are drawn are those that are drawn at once."""

import pytest
import torch

from vqvae.generation.sampling import Number, sample_numbered
from vqvae.generation.watching import watch_codes
from vqvae.layers.autoregressive import Choice
from vqvae.priors import MaskedPriorConfig, PixelCNNConfig, SamplingPrior

PRIORS = {
    "pixelcnn": PixelCNNConfig(codebook_size=5, num_codebooks=2, layers=2, hidden=8, output_hidden=8),
    "masked": MaskedPriorConfig(codebook_size=5, num_codebooks=2, passes=3, channels=8, depth=2, output_hidden=8),
}
NUMBERS = [Number(7, 0), Number(3, 2)]


@pytest.fixture(params=PRIORS)
def prior(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SamplingPrior:
    monkeypatch.setattr("vqvae.layers.autoregressive._has_numba", lambda: False)
    torch.manual_seed(0)
    return PRIORS[request.param].build().eval()


@pytest.mark.parametrize("is_known", [False, True])
def test_steps_lead_to_what_is_drawn_at_once(prior: SamplingPrior, is_known: bool) -> None:
    prefix = None
    if is_known:
        prefix = torch.full((2, 2, 3, 4), -1)
        prefix[:, :, 0] = 2
        prefix[1, 0, 1, 1] = 3
    choice = Choice(temperature=0.9)
    expected = sample_numbered(prior, NUMBERS, (3, 4), prefix=prefix, choice=choice)
    drawn = torch.full((2, 24), -1) if prefix is None else prefix.flatten(1).clone()
    for step in watch_codes(prior, NUMBERS, (3, 4), prefix=prefix, choice=choice):
        drawn[:, step.positions] = step.drawn
        assert torch.equal(drawn, step.codes.flatten(1)), "a step tells all that changes"
    assert torch.equal(drawn.view(2, 2, 3, 4), expected)


def test_a_sample_does_not_depend_on_those_of_other_seeds(prior: SamplingPrior) -> None:
    both = sample_numbered(prior, NUMBERS, (3, 4))
    alone = torch.cat([sample_numbered(prior, [number], (3, 4)) for number in NUMBERS])
    assert torch.equal(both, alone) and not torch.equal(both[0], both[1])


def test_clips_are_told_in_one_step() -> None:
    torch.manual_seed(0)
    small = {"channels": 8, "depth": 1, "memory": 3, "reach": 1, "blocks": 1, "width": 4}
    prior = MaskedPriorConfig(codebook_size=5, passes=2, **small).build().eval()
    (step,) = watch_codes(prior, NUMBERS, (2, 2, 3))
    assert torch.equal(step.codes, sample_numbered(prior, NUMBERS, (2, 2, 3))) and step.positions == list(range(12))
