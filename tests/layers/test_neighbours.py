"""Embeddings of codes by their neighbours."""

import torch

from vqvae.layers.neighbours import MOST_CODES, Neighbours


def test_codes_with_the_same_neighbours_start_alike() -> None:
    torch.manual_seed(0)
    # Codes 0 and 1 mix freely, and so do 2 and 3; the two kinds never meet.
    maps = torch.randint(0, 2, (64, 1, 6, 6)) + 2 * torch.arange(64).remainder(2).view(-1, 1, 1, 1)
    neighbours = Neighbours(1, 4)
    neighbours.add(maps)
    table = torch.full((1, 4, 6), 9.0)
    neighbours.embed(table, 0.5)
    near = (table[0, :, :4] @ table[0, :, :4].t()).sign()
    assert near[0, 1] > 0 and near[2, 3] > 0 and near[0, 2] <= 0 and near[1, 3] <= 0
    torch.testing.assert_close(table[..., :4].square().mean().sqrt(), torch.tensor(0.5))
    assert (table[..., 4:] == 9).all()


def test_pairs_are_counted_along_every_axis_and_for_each_codebook() -> None:
    neighbours = Neighbours(2, 3)
    neighbours.add(torch.tensor([[[[0, 1], [2, 2]], [[0, 0], [0, 1]]]]))
    assert neighbours.pairs[0].tolist() == [[0, 1, 1], [0, 0, 1], [0, 0, 1]]
    assert neighbours.pairs[1].tolist() == [[2, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert neighbours.log_frequencies()[0].argmax() == 2


def test_a_large_codebook_keeps_its_own_embeddings() -> None:
    neighbours = Neighbours(1, MOST_CODES + 1)
    neighbours.add(torch.zeros(1, 1, 2, 2, dtype=torch.int64))
    table = torch.ones(1, MOST_CODES + 1, 2)
    neighbours.embed(table, 1.0)
    assert (table == 1).all()
    assert neighbours.log_frequencies()[0].argmax() == 0
