import numpy as np
import pytest
import torch

from vqvae.codec.entropy import EntropyCoder, check_length
from vqvae.data.base import Condition
from vqvae.errors import BitstreamError


class Never(EntropyCoder):
    """A coder for what needs no bytes."""

    name = "never"

    def _costs(self, codes: np.ndarray, condition: Condition) -> np.ndarray:
        raise AssertionError

    def _encode(self, codes: np.ndarray, condition: Condition) -> bytes:
        raise AssertionError

    def _decode(self, data: bytes, shape: tuple[int, ...], condition: Condition) -> np.ndarray:
        raise AssertionError


def test_no_codes_and_codes_without_a_choice_take_no_bytes() -> None:
    assert Never(1, 5).encode(torch.zeros(1, 0, 3, dtype=torch.int64)) == b"" == Never(2, 1).encode(torch.zeros(2, 3, dtype=torch.int64))
    assert Never(2, 1).costs(torch.zeros(2, 3, dtype=torch.int64)).tolist() == [[0, 0, 0]] * 2
    assert Never(1, 5).decode(b"", (1, 0, 3)).shape == (1, 0, 3)
    assert torch.equal(Never(2, 1).decode(b"", (2, 3)), torch.zeros(2, 3, dtype=torch.int64))
    with pytest.raises(BitstreamError, match="1 bytes of codes; expected 0"):
        Never(2, 1).decode(b"x", (2, 3))


def test_the_length_is_checked() -> None:
    check_length(b"ab", 2)
    with pytest.raises(BitstreamError, match="2 bytes of codes; expected 3"):
        check_length(b"ab", 3)
