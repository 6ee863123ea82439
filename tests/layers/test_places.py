"""The embedding of positions."""

import torch

from vqvae.layers.places import Places


def test_every_position_has_its_own_embedding_whatever_the_size_of_the_map() -> None:
    torch.manual_seed(0)
    places = Places(8)
    small, large = places((3, 4)), places((5, 7))
    torch.testing.assert_close(large[:3, :4], small)
    assert len(large.detach().flatten(0, 1).round(decimals=4).unique(dim=0)) == 35


def test_autocast_does_not_round_it() -> None:
    torch.manual_seed(0)
    places = Places(8)
    with torch.autocast("cpu", torch.bfloat16):
        under = places((3, 4))
    assert under.dtype == torch.float32 and under.equal(places((3, 4)))
