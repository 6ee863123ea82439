"""Batches."""

import torch

from vqvae.data.base import Batch, Condition, described


def test_what_is_taken_from_a_batch_has_all_that_belongs_to_it() -> None:
    batch = Batch(
        torch.arange(12).view(3, 2, 2),
        Condition(torch.tensor([7, 8, 9]), torch.arange(6).view(3, 2), (torch.arange(3).view(3, 1, 1),)),
        torch.tensor([[True, False], [True, True], [False, True]]),
    )
    taken = batch.take(torch.tensor([2, 0, 2, 2]))
    assert taken.condition.label.tolist() == [9, 7, 9, 9]
    assert taken.x[:, 0, 0].tolist() == [8, 0, 8, 8]
    assert taken.condition.actions.tolist() == [[4, 5], [0, 1], [4, 5], [4, 5]]
    assert taken.condition.codes[0].flatten().tolist() == [2, 0, 2, 2]
    assert taken.mask.tolist() == [[False, True], [True, False], [False, True], [False, True]]
    bare = Batch(batch.x).take(torch.tensor([1]))
    assert bare.condition == Condition() and bare.mask is None and bare.x.tolist() == [[[4, 5], [6, 7]]]


def test_data_that_came_wrong_is_described_by_its_type_and_range() -> None:
    assert described(torch.tensor([0.5, -1.0])) == "torch.float32 with values from -1 to 0.5"
    assert described(torch.zeros(0, dtype=torch.int64)) == "torch.int64 without any values"
