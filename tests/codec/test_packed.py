import pytest
import torch

from vqvae.codec.packed import PackedCoder
from vqvae.errors import BitstreamError, DataError


@pytest.mark.parametrize("size", [1, 2, 3, 512, 1000, 65537])
@pytest.mark.parametrize("shape", [(1, 7, 5), (3, 11), (8, 2, 3, 4), (1, 0, 4), (1, 1), (2, 40000)])
def test_codes_come_back_in_a_fixed_number_of_bits(size: int, shape: tuple[int, ...]) -> None:
    codes = torch.randint(size, shape, generator=torch.Generator().manual_seed(0))
    coder = PackedCoder(shape[0], size)
    data = coder.encode(codes)
    assert len(data) == -(-codes.numel() * coder.bits // 8) == -(-coder.costs(codes).sum() // 8)
    assert torch.equal(coder.decode(data, shape), codes)


def test_the_bytes_of_a_few_codes() -> None:
    # 5 = 101, 1 = 001, 6 = 110: 10100111 0 and seven bits of padding.
    assert PackedCoder(1, 7).encode(torch.tensor([[5, 1, 6]])) == bytes([0b10100111, 0])


@pytest.mark.parametrize(
    "data", [b"", bytes(1), bytes(3), bytes([0xE0, 0]), bytes([0, 1])], ids=["none", "short", "long", "unknown code", "padding"]
)
def test_other_bytes_are_an_error(data: bytes) -> None:
    with pytest.raises(BitstreamError, match="damaged"):
        PackedCoder(1, 7).decode(data, (1, 3))


@pytest.mark.parametrize("shape", [(), (2, 3), (1, -1), (1, 10**6, 10**6)])
def test_shapes_that_no_codes_have_are_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(BitstreamError, match="requested"):
        PackedCoder(1, 7).decode(b"", shape)


def test_codes_out_of_range_are_an_error() -> None:
    with pytest.raises(DataError, match="between 0 and 7"):
        PackedCoder(1, 7).encode(torch.arange(8)[None])
