"""Batches and conditions: what belongs together stays together."""

import pytest
import torch

from vqvae.data.base import Batch, Condition


def batch() -> Batch:
    return Batch(
        torch.arange(12).view(3, 2, 2),
        Condition(torch.tensor([7, 8, 9]), torch.arange(6).view(3, 2), (torch.arange(3).view(3, 1, 1), torch.arange(6).view(3, 1, 2))),
        torch.tensor([[True, False], [True, True], [False, True]]),
        torch.tensor([[1, 2], [3, 4], [5, 6]]),
    )


def tensors(of: Batch) -> list[torch.Tensor]:
    return [of.x, of.condition.label, of.condition.actions, *of.condition.codes, of.mask, of.targets]


def test_what_is_taken_from_a_batch_has_all_that_belongs_to_it() -> None:
    taken = batch().take(torch.tensor([2, 0, 2, 2]))
    assert taken.condition.label.tolist() == [9, 7, 9, 9]
    assert taken.x[:, 0, 0].tolist() == [8, 0, 8, 8]
    assert taken.condition.actions.tolist() == [[4, 5], [0, 1], [4, 5], [4, 5]]
    assert [level[:, 0, 0].tolist() for level in taken.condition.codes] == [[2, 0, 2, 2], [4, 0, 4, 4]]
    assert taken.mask.tolist() == [[False, True], [True, False], [False, True], [False, True]]
    assert taken.targets.tolist() == [[5, 6], [1, 2], [5, 6], [5, 6]]
    bare = Batch(batch().x).take(torch.tensor([1]))
    assert bare.condition == Condition() and bare.mask is bare.targets is None and bare.x.tolist() == [[[4, 5], [6, 7]]]
    assert batch().condition.take(slice(1, 2)).label.tolist() == [8]


def test_a_change_reaches_every_tensor_and_no_other_field() -> None:
    seen: list[torch.Tensor] = []

    def change(tensor: torch.Tensor) -> torch.Tensor:
        seen.append(tensor)
        return tensor[:1]

    changed, whole = batch().map(change), batch()
    assert len(seen) == 7 and all(len(tensor) == 1 for tensor in tensors(changed))
    assert all(torch.equal(one, other[:1]) for one, other in zip(tensors(changed), tensors(whole), strict=True))
    bare = Batch(whole.x).map(change)
    assert bare.condition == Condition() and bare.mask is bare.targets is None and len(seen) == 8


def test_everything_moves_to_another_device() -> None:
    assert {tensor.device.type for tensor in tensors(batch().to("meta"))} == {"meta"}
    assert {tensor.device.type for tensor in tensors(batch().to(torch.device("cpu")))} == {"cpu"}
    assert batch().condition.to("meta").label.device.type == "meta" and Condition().to("meta") == Condition()


@pytest.mark.parametrize(("count", "sizes"), [(1, [3]), (2, [2, 1]), (3, [1, 1, 1])])
def test_parts_are_of_equal_size_and_together_the_whole(count: int, sizes: list[int]) -> None:
    parts = batch().split(count)
    assert [len(part.x) for part in parts] == sizes
    for number, whole in enumerate(tensors(batch())):
        assert torch.equal(torch.cat([tensors(part)[number] for part in parts]), whole)


def test_there_are_as_many_parts_as_asked_for_though_some_be_empty() -> None:
    assert [len(part.x) for part in batch().split(5)] == [1, 1, 1, 0, 0]
    assert [len(part.x) for part in Batch(torch.zeros(4, 1)).split(3)] == [2, 2, 0]
