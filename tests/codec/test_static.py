import numpy as np
import pytest
import torch

from vqvae.codec import static
from vqvae.codec.range_coder import table_of
from vqvae.codec.static import TOTAL, StaticCoder, frequencies_of
from vqvae.errors import BitstreamError, CheckpointError, ConfigError


def coder_of(books: int, size: int) -> StaticCoder:
    return StaticCoder(frequencies_of(np.random.default_rng(0).geometric(0.1, (books, size)) ** 3))


@pytest.mark.parametrize(("shape", "size"), [((1, 21, 21), 512), ((8, 60), 1000), ((3, 2, 4, 5), 3), ((1, 1), 70000), ((2,), 2)])
def test_codes_come_back_at_the_cost_of_their_frequencies(shape: tuple[int, ...], size: int) -> None:
    coder, codes = coder_of(shape[0], size), torch.randint(size, shape, generator=torch.Generator().manual_seed(0))
    data = coder.encode(codes)
    assert torch.equal(coder.decode(data, shape), codes)
    frequencies = np.diff(coder._starts)
    p = np.take_along_axis(frequencies, codes.reshape(shape[0], -1).numpy(), 1) / frequencies.sum(1, keepdims=True)
    assert coder.costs(codes).sum() == pytest.approx(-np.log2(p).sum()) and len(data) <= coder.costs(codes).sum() / 8 + 2


@pytest.mark.parametrize("counts", [[0, 1, 10], [0, 0, 0], [0, 1, 2**40, 2**41], [0] * 1000 + [10**9]])
def test_frequencies_follow_counts_and_none_is_zero(counts: list[int]) -> None:
    (found,) = frequencies_of(np.array([counts]))
    assert found.min() >= 1 and found.sum() == TOTAL
    expected = (2 * np.array(counts) + 1) / (2 * np.array(counts) + 1).sum()
    assert np.allclose(found / TOTAL, expected, atol=len(counts) / TOTAL)


def test_frequencies_need_room_for_every_code() -> None:
    with pytest.raises(ConfigError, match="too large"):
        frequencies_of(np.broadcast_to(np.int64(0), (1, 2**28)))


def test_truncated_and_longer_bytes_are_an_error() -> None:
    coder, codes = coder_of(1, 512), torch.arange(400).view(1, 20, 20)
    data = coder.encode(codes)
    for other in (data[:-1], data + b"\0", b"", data[: len(data) // 2]):
        with pytest.raises(BitstreamError):
            coder.decode(other, (1, 20, 20))


@pytest.mark.parametrize("wrong", [[[0, TOTAL]], [[-3, TOTAL + 3]], [[5, 5]]])
def test_frequencies_that_cannot_be_are_an_error(wrong: list[list[int]]) -> None:
    with pytest.raises(CheckpointError, match="Frequencies"):
        StaticCoder(np.array(wrong))


def test_other_frequencies_have_another_fingerprint() -> None:
    assert coder_of(1, 5).fingerprint != coder_of(1, 6).fingerprint and len(coder_of(1, 5).fingerprint) == 32


def test_the_tables_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    coder, made = coder_of(2, 40), []
    monkeypatch.setattr(static, "table_of", lambda starts: made.append(starts) or table_of(starts))
    codes = torch.arange(40).expand(2, 40)
    for _ in range(3):
        assert torch.equal(coder.decode(coder.encode(codes), (2, 40)), codes)
    assert len(made) == 2
