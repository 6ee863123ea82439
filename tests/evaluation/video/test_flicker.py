"""Flicker."""

import math

import torch

from vqvae.evaluation.video.flicker import Flicker


def test_only_values_that_stand_still_count() -> None:
    frames = torch.zeros(3, 1, 1, 2, dtype=torch.uint8)
    frames[1:, ..., 1] = 200
    made = torch.tensor([[10, 0], [14, 90], [14, 190]], dtype=torch.uint8).view(3, 1, 1, 2)
    flicker = Flicker()
    flicker.add(frames, made)
    assert flicker.mean == (4 + 0 + 100) / 3


def test_the_original_does_not_flicker() -> None:
    frames = torch.randint(0, 2, (5, 3, 4, 4), dtype=torch.uint8)
    flicker = Flicker()
    flicker.add(frames, frames[:1].expand_as(frames))
    assert flicker.mean == 0
    assert math.isnan(Flicker().mean)
