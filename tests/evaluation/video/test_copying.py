"""The copy prior."""

import itertools

import pytest
import torch

from vqvae.errors import DataError
from vqvae.evaluation.video.copying import CopyPrior
from vqvae.priors import UnigramPriorConfig


def fitted(codes: torch.Tensor, size: int, mask: torch.Tensor | None = None) -> CopyPrior:
    unigram = UnigramPriorConfig(codebook_size=size, num_codebooks=codes.shape[1]).build()
    unigram.count(codes, mask)
    prior = CopyPrior(unigram)
    prior.count(codes, mask)
    return prior.fit()


def sticky(stays: float, size: int, shape: tuple[int, ...] = (4, 2, 200, 3)) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(0, size, shape, generator=generator)
    for time in range(1, shape[2]):
        keep = torch.rand(codes[:, :, time].shape, generator=generator) < stays
        codes[:, :, time] = torch.where(keep, codes[:, :, time - 1], codes[:, :, time])
    return codes


def test_probabilities_of_all_clips_add_up_to_one() -> None:
    prior = fitted(sticky(0.5, 3, (2, 1, 30, 2)), 3)
    clips = torch.tensor(list(itertools.product(range(3), repeat=6))).view(-1, 1, 3, 2)
    total = prior.code_log_probs(clips).flatten(1).sum(1).exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0))


@pytest.mark.parametrize("stays", [0.0, 0.3, 0.9])
def test_the_share_is_that_of_highest_likelihood(stays: float) -> None:
    codes = sticky(stays, 5)
    prior = fitted(codes, 5)
    assert prior.share == pytest.approx(stays, abs=0.03)
    best = prior.code_log_probs(codes).sum()
    for other in (prior.share - 0.02, prior.share + 0.02):
        if other > 0:
            prior.share = other
            assert prior.code_log_probs(codes).sum() < best


def test_the_first_frame_is_drawn_and_padding_does_not_count() -> None:
    codes = sticky(0.5, 4, (1, 1, 40, 2))
    padded = torch.cat([codes, codes[:, :, -1:].expand(-1, -1, 30, -1)], 2)
    mask = (torch.arange(70) < 40)[None, :, None].expand(1, 70, 2)
    prior = fitted(codes, 4)
    torch.testing.assert_close(prior.code_log_probs(codes)[:, :, 0], prior.unigram.code_log_probs(codes)[:, :, 0])
    assert fitted(padded, 4, mask).share == pytest.approx(prior.share)


def test_codes_that_never_change_can_still_change() -> None:
    prior = fitted(torch.full((1, 1, 50, 4), 2), 6)
    assert prior.share < 1
    assert prior.code_log_probs(torch.tensor([2, 3]).view(1, 1, 2, 1)).isfinite().all()
    assert fitted(torch.zeros(1, 1, 5, 1, dtype=torch.int64), 1).code_log_probs(torch.zeros(1, 1, 2, 1, dtype=torch.int64)).sum() == 0


def test_codes_without_time_are_refused() -> None:
    with pytest.raises(DataError, match="time"):
        fitted(torch.zeros(2, 1, dtype=torch.int64), 2)
