"""What counts as audio."""

import pytest
import torch

from vqvae.errors import DataError
from vqvae.layers.audio import check_audio


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
