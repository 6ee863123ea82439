"""Batches, and what counts as audio."""

import pytest
import torch

from vqvae.data.base import Batch, Condition, check_audio, described
from vqvae.errors import DataError


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


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_floats_up_to_full_scale_are_audio(dtype: torch.dtype) -> None:
    check_audio(torch.tensor([[[-1, 0, 1]]], dtype=dtype))
    check_audio(torch.zeros(0, 1, 4, dtype=dtype))


@pytest.mark.parametrize(
    ("x", "match"),
    [
        (torch.full((1, 1, 2), 20_000, dtype=torch.int16), "int16 with values from 20000 to 20000.*Divide it by 32768"),
        (torch.zeros(1, 1, 2, dtype=torch.int32), "2147483648"),
        (torch.zeros(1, 1, 2, dtype=torch.int64), "Scale it"),
        (torch.zeros(1, 2, 2), "one channel"),
        (torch.zeros(1, 2), r"\(batch, 1, time\)"),
        (torch.tensor([[[0, 1.01]]]), "Scale or clip"),
        (torch.tensor([[[float("nan"), 0]]]), "finite"),
    ],
)
def test_anything_else_is_an_error_that_says_what_to_do(x: torch.Tensor, match: str) -> None:
    with pytest.raises(DataError, match=match):
        check_audio(x)
