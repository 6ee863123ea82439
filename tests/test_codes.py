"""Codes of one or several levels, their masks, and what they cost."""

import copy
import math

import pytest
import torch
from torch import Tensor

from vqvae.codes import (
    Codes,
    Level,
    check_codes,
    check_prefix,
    codes_that_count,
    count_codes,
    latent_mask,
    perplexity,
    size_of,
    space_of,
    uniform_log_prob,
)
from vqvae.errors import DataError


def random_codes(*shape: int) -> Tensor:
    return torch.randint(8, shape, generator=torch.Generator().manual_seed(sum(shape)))


def two_levels(batch: int = 3, masked: bool = True) -> Codes:
    mask = torch.arange(4) < torch.arange(1, batch + 1)[:, None]
    return Codes([random_codes(batch, 1, 2), random_codes(batch, 2, 4)], [None, mask if masked else None])


def same(a: Codes, b: Codes) -> bool:
    masks = zip(a.masks, b.masks, strict=True)
    return all(map(torch.equal, a, b)) and all(one is other is None or torch.equal(one, other) for one, other in masks)


def test_codes_are_a_tuple_with_a_tensor_and_a_mask_a_level() -> None:
    codes = two_levels()
    top, bottom = codes
    assert isinstance(codes, tuple) and len(codes) == 2 and codes[1] is bottom and top.shape == (3, 1, 2)
    assert codes.masks[0] is None and codes.masks[1].shape == (3, 4) and codes.mask is None
    assert Codes([top, bottom]).masks == (None, None)
    with pytest.raises(DataError, match="1 masks for 2 levels"):
        Codes([top, bottom], [None])


def test_one_level_has_a_tensor_and_a_mask_and_several_have_not() -> None:
    codes, mask = random_codes(3, 1, 4), torch.ones(3, 4, dtype=torch.bool)
    one = Codes([codes], [mask])
    assert one.tensor is codes and one.mask is mask and Codes([codes]).mask is None
    with pytest.raises(DataError, match="2 levels of codes, where one tensor is expected; .* codes\\[0\\]"):
        _ = two_levels().tensor


def test_users_give_a_tensor_a_tuple_or_codes() -> None:
    codes = random_codes(3, 1, 4)
    assert Codes.of(codes).tensor is Codes.of((codes,)).tensor is codes
    levels = two_levels()
    assert Codes.of(levels) is levels and Codes.of(tuple(levels)).masks == (None, None)


def test_changes_reach_every_tensor_and_every_mask() -> None:
    codes = two_levels()
    taken = codes.take(torch.tensor([2, 0, 2]))
    assert torch.equal(taken[1], codes[1][[2, 0, 2]]) and torch.equal(taken.masks[1], codes.masks[1][[2, 0, 2]])
    assert taken.masks[0] is None and isinstance(taken, Codes)
    assert same(codes.take(slice(1, 3)), codes.map(lambda tensor: tensor[1:3]))
    assert same(codes.to("cpu"), codes) and codes.to("meta")[0].device.type == codes.to("meta").masks[1].device.type == "meta"
    assert same(copy.deepcopy(codes), codes)


def test_batches_join_with_and_without_masks() -> None:
    masked, whole = two_levels(), two_levels(2, masked=False)
    assert same(Codes.cat([masked.take(slice(0, 1)), masked.take(slice(1, 3))]), masked)
    joined = Codes.cat(iter([masked, whole]))
    assert joined[1].shape == (5, 2, 4) and joined.masks[0] is None
    assert torch.equal(joined.masks[1], torch.cat([masked.masks[1], torch.ones(2, 4, dtype=torch.bool)]))
    assert Codes.cat([whole, whole]).masks == (None, None)
    assert same(Codes.cat([masked, whole.take(slice(0, 0))]), masked)


@pytest.mark.parametrize(
    ("codes", "match"),
    [
        ([[0]], "Codes came as list; a tensor is expected"),
        (torch.zeros(2, 2, 3), r"torch.float32 of the shape \(2, 2, 3\); this prior takes integers \(batch, 2, \*space\)"),
        (torch.zeros(2, 2, 3, dtype=torch.bool), "torch.bool"),
        (torch.zeros(2, 1, 3, dtype=torch.int64), r"shape \(2, 1, 3\)"),
        (torch.zeros(2, dtype=torch.int64), r"shape \(2,\)"),
        (torch.tensor([[[0], [4]]]), "Codes lie between 0 and 4; this prior has 0 to 3"),
        (torch.tensor([[[-1], [3]]]), "between -1 and 3"),
    ],
)
def test_what_is_no_code_is_an_error(codes: object, match: str) -> None:
    with pytest.raises(DataError, match=match):
        check_codes(codes, 2, 4, "prior")


def test_codes_of_any_integers_and_none_are_codes() -> None:
    for dtype in (torch.uint8, torch.int32, torch.int64):
        check_codes(torch.tensor([[[0, 3], [1, 2]]], dtype=dtype), 2, 4, "prior")
    check_codes(torch.zeros(0, 2, 3, dtype=torch.int64), 2, 4, "prior")


def test_a_prefix_has_codes_and_minus_one() -> None:
    prefix = torch.tensor([[[-1, 3, 0]]])
    check_prefix(prefix, (1, 1, 3), 4, "prior")
    with pytest.raises(DataError, match=r"prefix has the shape \(1, 1, 3\); it must be \(1, 1, 4\), with -1"):
        check_prefix(prefix, (1, 1, 4), 4, "prior")
    with pytest.raises(DataError, match="0 to 2"):
        check_prefix(prefix, (1, 1, 3), 3, "prior")


def test_a_latent_counts_where_any_position_of_its_block_does() -> None:
    mask = torch.arange(7) < torch.tensor([[7], [4], [5], [0]])
    assert latent_mask(mask, (4,)).tolist() == [[True, True], [True, False], [True, True], [False, False]]
    assert torch.equal(latent_mask(mask, (1,)), mask)
    square = torch.zeros(1, 5, 4, dtype=torch.bool)
    square[0, 4, 1] = True
    assert latent_mask(square, (2, 3)).tolist() == [[[False, False], [False, False], [True, False]]]


@pytest.mark.parametrize("time", range(1, 11))
@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_lead_shortens_what_the_first_latent_covers(time: int, step: int) -> None:
    space = space_of((time, 5), (step, 4), (step - 1, 0))
    assert space == (1 + math.ceil((time - 1) / step), 2)
    assert size_of(space, (step, 4), (step - 1, 0)) == (1 + step * (space[0] - 1), 8)
    for there in range(1, time + 1):
        mask = (torch.arange(time) < there)[None]
        assert int(latent_mask(mask, (step,), (step - 1,)).sum()) == space_of((there,), (step,), (step - 1,))[0]
    assert space_of((time,), (step,)) == (math.ceil(time / step),) and size_of((time,), (step,)) == (time * step,)


def test_only_codes_that_stand_for_data_are_counted_and_cost() -> None:
    codes = random_codes(2, 3, 4)
    mask = torch.tensor([[True, True, False, False], [False, False, False, False]])
    assert (count_codes(codes), count_codes(codes, mask)) == (24, 6)
    torch.testing.assert_close(uniform_log_prob(codes, 8), torch.full((2,), -12 * math.log(8)))
    torch.testing.assert_close(uniform_log_prob(codes, 8, mask), torch.tensor([-6 * math.log(8), 0.0]))
    assert not uniform_log_prob(codes, 1).any() and uniform_log_prob(codes[:0], 8).shape == (0,)
    assert not uniform_log_prob(codes[:, :0], 0).any(), "without codebooks there is nothing to pay for"
    assert torch.equal(codes_that_count(codes, None), codes.movedim(1, 0).reshape(3, 8))
    assert torch.equal(codes_that_count(codes, mask), codes[0, :, :2])


def test_perplexity_is_the_number_of_codes_that_would_serve_as_well() -> None:
    found = perplexity(torch.tensor([[5, 5, 5, 5], [7, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]))
    torch.testing.assert_close(found, torch.tensor([4.0, 1.0, 2.0, 1.0]))
    assert found.dtype == torch.float32
    share = torch.tensor([0.5, 0.25, 0.25])
    torch.testing.assert_close(perplexity(torch.tensor([2, 1, 1])), (-(share * share.log()).sum()).exp())


def test_a_level_says_how_many_codes_stand_for_how_much_data() -> None:
    assert Level(2, 8, (4, 4)) == (2, 8, (4, 4), ()) and Level(1, 8, (64,)).stride == (64,)
