import contextlib

import numpy as np
import pytest
import torch

from tests.codec.models import clip, codes_of, prior_of
from vqvae.codec import integer_coder
from vqvae.codec.integer import IntegerPriorConfig
from vqvae.codec.integer_coder import PriorCoder
from vqvae.data.base import Condition
from vqvae.errors import BitstreamError, ConfigError, DataError

SHAPES = [(1, 11, (6, 5)), (1, 11, (1, 1)), (8, 3, (40,)), (2, 2, ()), (1, 300, (5, 0)), (1, 1, (4, 4)), (3, 7, (2, 2, 2, 2))]


@pytest.fixture(params=["compiled", "plain"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(integer_coder, "_fast_loop", lambda: None)


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize(("books", "size", "space"), SHAPES)
def test_codes_come_back_at_their_cost(books: int, size: int, space: tuple[int, ...]) -> None:
    coder = PriorCoder(prior_of(num_codebooks=books, codebook_size=size, axes=len(space)))
    codes = codes_of(books, size, *space)
    data = coder.encode(codes)
    assert torch.equal(coder.decode(data, tuple(codes.shape)), codes)
    assert len(data) <= coder.costs(codes).sum() / 8 + 2


@pytest.mark.usefixtures("_way")
def test_codes_with_all_conditions_come_back() -> None:
    prior, codes, given = clip()
    coder = PriorCoder(prior)
    for condition in (given, given._replace(label=None), given._replace(actions=None)):
        data = coder.encode(codes, condition)
        assert torch.equal(coder.decode(data, tuple(codes.shape), condition), codes)
    costs = {coder.costs(codes, one).sum() for one in (given, given._replace(label=None), given._replace(actions=None))}
    assert len(costs) == 3


def test_blocks_of_positions_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, codes, given = clip()
    data = PriorCoder(prior).encode(codes, given)
    monkeypatch.setattr(integer_coder, "_NUMBERS", 1)
    assert PriorCoder(prior).encode(codes, given) == data
    assert torch.equal(PriorCoder(prior).decode(data, tuple(codes.shape), given), codes)


def test_other_bytes_are_an_error_or_codes() -> None:
    coder, codes = PriorCoder(prior_of()), codes_of(1, 11, 6, 6)
    data, draws = coder.encode(codes), np.random.default_rng(0)
    for other in (data[:-1], data + b"\0", b"", data[:5]):
        with pytest.raises(BitstreamError):
            coder.decode(other, (1, 6, 6))
    for _ in range(100):
        changed = bytearray(data)
        changed[draws.integers(len(data))] ^= int(draws.integers(1, 256))
        with contextlib.suppress(BitstreamError):
            assert coder.decode(bytes(changed), (1, 6, 6)).shape == (1, 6, 6)


def test_what_the_coder_was_trained_with_is_needed() -> None:
    prior, codes, given = clip()
    coder = PriorCoder(prior)
    with pytest.raises(DataError, match="levels above"):
        coder.encode(codes, given._replace(codes=()))
    with pytest.raises(DataError, match="Labels"):
        coder.encode(codes, given._replace(label=torch.tensor([4])))
    with pytest.raises(DataError, match="Actions"):
        coder.encode(codes, given._replace(actions=torch.tensor([[6, 0]])))
    with pytest.raises(DataError, match="axes"):
        coder.encode(codes[..., 0], Condition())


def test_a_codebook_that_is_too_large_needs_another_mode() -> None:
    with pytest.raises(ConfigError, match="static"):
        PriorCoder(IntegerPriorConfig(codebook_size=2**17, hidden=0).build())


def test_fingerprints_are_those_of_the_integers() -> None:
    prior = prior_of()
    assert PriorCoder(prior).fingerprint == prior.fingerprint
