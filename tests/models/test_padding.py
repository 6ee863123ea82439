"""Padding to whole blocks, and beyond the end of masked examples."""

import pytest
import torch

from vqvae.errors import DataError
from vqvae.models.padding import by_frames, pad, silence, times


def test_edges_are_repeated_to_whole_blocks() -> None:
    x = torch.arange(1, 6).view(1, 1, 5)
    assert pad(x, (4,))[0, 0].tolist() == [1, 2, 3, 4, 5, 5, 5, 5]
    assert pad(x, (4,), (3,))[0, 0].tolist() == [1, 1, 1, 1, 2, 3, 4, 5], "the first entry fills its block"
    assert pad(x, (5,)) is x
    square = pad(torch.arange(6).view(1, 1, 2, 3), (2, 2), (1, 0))
    assert square[0, 0].tolist() == [[0, 1, 2, 2], [0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5]]


def test_a_masked_example_is_padded_as_if_it_were_alone() -> None:
    x, mask = torch.arange(1, 7).view(1, 1, 6), torch.tensor([[True, True, True, False, False, False]])
    assert silence(x, mask, (2,))[0, 0].tolist() == [1, 2, 3, 3, 0, 0]
    assert silence(x, mask, (2,), (1,))[0, 0].tolist() == [1, 1, 2, 3, 0, 0, 0, 0]
    clip = x.view(1, 1, 6, 1, 1).expand(-1, -1, -1, 1, 3)
    padded = silence(clip, mask.view(1, 6, 1, 1).expand(-1, -1, 1, 3), (4, 1, 2), (3, 0, 0))
    assert padded.shape == (1, 1, 12, 1, 4) and padded[0, 0, :, 0, 3].tolist() == [1, 1, 1, 1, 2, 3, 3, 3, 0, 0, 0, 0]


def test_costs_are_summed_over_the_frames_that_have_data() -> None:
    parameters, x = torch.ones(2, 1, 3, 2, 2), torch.arange(6.0).view(2, 1, 3, 1, 1).expand(-1, -1, -1, 2, 2)
    mask = torch.tensor([[True, True, False], [True, False, False]])[:, :, None, None].expand(-1, -1, 2, 2)
    assert by_frames(lambda a, b: (a * b).flatten(1).sum(1), parameters, x, mask).tolist() == [4.0, 12.0]


def test_a_mask_excludes_whole_frames() -> None:
    mask = torch.ones(1, 2, 2, dtype=torch.bool)
    mask[0, 1, 0] = False
    with pytest.raises(DataError, match="cuts frames"):
        times(mask)
    assert times(mask[:, :1]).tolist() == [[True]] and times(mask[:, :, 0]).tolist() == [[True, False]]
