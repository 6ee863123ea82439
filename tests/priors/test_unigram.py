"""Frequencies of codes as a prior."""

import pytest
import torch

from vqvae.errors import ConfigError, DataError
from vqvae.priors import UnigramPriorConfig


def test_unigram_probabilities_are_smoothed_frequencies() -> None:
    prior = UnigramPriorConfig(codebook_size=4).build()
    prior.count(torch.tensor([[[0, 0, 0, 1]]]))
    log_p = prior.log_prob(torch.tensor([[[0]], [[1]], [[2]]]))
    torch.testing.assert_close(log_p.exp(), torch.tensor([4 / 8, 2 / 8, 1 / 8]))


def test_each_codebook_has_its_own_frequencies_wherever_a_code_stands() -> None:
    prior = UnigramPriorConfig(codebook_size=3, num_codebooks=2).build()
    codes = torch.tensor([[[[0, 0], [1, 0]], [[2, 2], [2, 2]]]])
    for _ in range(3):
        prior.count(codes)
    assert prior.counts.tolist() == [[9, 3, 0], [0, 0, 12]]
    expected = 3 * torch.tensor(10 / 15).log() + torch.tensor(4 / 15).log() + 4 * torch.tensor(13 / 15).log()
    torch.testing.assert_close(prior.log_prob(codes), expected[None])
    torch.testing.assert_close(prior.log_prob(codes.flip(2, 3)), expected[None])


def test_counts_are_part_of_what_is_saved_and_wrong_codes_change_none() -> None:
    prior, again = (UnigramPriorConfig(codebook_size=3).build() for _ in range(2))
    prior.count(torch.tensor([[[0, 2, 2]]]))
    again.load_state_dict(prior.state_dict())
    assert torch.equal(again.log_prob(torch.tensor([[[2]]])), prior.log_prob(torch.tensor([[[2]]])))
    with pytest.raises(DataError, match="0 to 2"):
        prior.count(torch.tensor([[[0, 3]]]))
    assert torch.equal(prior.counts, again.counts)


def test_what_a_mask_hides_is_not_counted() -> None:
    prior = UnigramPriorConfig(codebook_size=3, num_codebooks=2).build()
    prior.count(torch.tensor([[[0, 1, 2], [2, 2, 0]]]), torch.tensor([[True, True, False]]))
    assert prior.counts.tolist() == [[1, 1, 0], [0, 0, 2]]


@pytest.mark.parametrize("sizes", [{"num_codebooks": 0}, {"num_codebooks": -1}, {"codebook_size": 0}, {"codebook_size": 2**31 + 1}])
def test_sizes_without_meaning_are_errors(sizes: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=rf"UnigramPriorConfig\.{next(iter(sizes))}"):
        UnigramPriorConfig(**{"codebook_size": 4, **sizes}).build()


def test_log_probs_of_single_codes_add_up_to_those_of_examples() -> None:
    prior, codes = UnigramPriorConfig(codebook_size=3, num_codebooks=2).build(), torch.randint(0, 3, (4, 2, 5))
    prior.count(codes)
    each = prior.code_log_probs(codes)
    assert each.shape == codes.shape
    torch.testing.assert_close(each.flatten(1).sum(1), prior.log_prob(codes))
