"""The transformer prior over codes of any space."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import sample
from vqvae.priors import AutoregressivePrior, TransformerPrior, TransformerPriorConfig

SPACES = [(7,), (3, 4), (3, 2, 2)]


def make(dtype: torch.dtype = torch.float64, **changes: Any) -> TransformerPrior:
    torch.manual_seed(0)
    chosen: dict[str, Any] = {"codebook_size": 5, "depth": 2, "dim": 12, "heads": 2, "output_hidden": 8} | changes
    return TransformerPriorConfig(**chosen).build().to(dtype).eval()


def random_codes(*shape: int, size: int = 5) -> Tensor:
    return torch.randint(size, shape, generator=torch.Generator().manual_seed(1))


def cached(prior: TransformerPrior, codes: Tensor, condition: Condition = Condition()) -> Tensor:
    """``code_log_probs`` step by step."""
    return AutoregressivePrior.code_log_probs(prior, codes, condition)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("books", [1, 3])
@pytest.mark.parametrize("window", [0, 1, 3])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_cached_is_uncached(space: tuple[int, ...], books: int, window: int, dtype: torch.dtype) -> None:
    prior, codes = make(dtype, num_codebooks=books, window=window), random_codes(2, books, *space)
    torch.testing.assert_close(cached(prior, codes), prior.code_log_probs(codes), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("window", [0, 2, 5])
@pytest.mark.parametrize("known", [1, 4, 11])
def test_a_prefix_is_processed_at_once(window: int, known: int) -> None:
    prior, codes = make(num_codebooks=2, window=window), random_codes(2, 2, 3, 4)
    prefix = torch.full_like(codes, -1)
    prefix.flatten(2)[:, :, :known] = codes.flatten(2)[:, :, :known]
    state = prior.start(2, (3, 4), prefix=prefix)
    assert state.position == 2 * known
    flat, before, found = codes.flatten(2).transpose(1, 2).flatten(1), None, []
    for code in flat[:, 2 * known :].unbind(1):
        logits, state = prior.step(before, state)
        found.append(logits.log_softmax(1).gather(1, code[:, None]))
        before = code
    expected = prior.code_log_probs(codes).flatten(2).transpose(1, 2).flatten(1)[:, 2 * known :]
    torch.testing.assert_close(torch.cat(found, 1), expected)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("window", [0, 4])
def test_a_later_code_changes_no_earlier_probability(space: tuple[int, ...], window: int) -> None:
    prior, codes = make(num_codebooks=2, window=window), random_codes(1, 2, *space)
    order = prior.code_log_probs(codes).movedim(1, -1).flatten()
    for changed in range(len(order)):
        flat = codes.movedim(1, -1).flatten().clone()
        flat[changed] = (flat[changed] + 1) % 5
        other = prior.code_log_probs(flat.view(1, *space, 2).movedim(-1, 1)).movedim(1, -1).flatten()
        assert torch.equal(other[:changed], order[:changed]) and not torch.equal(other[changed:], order[changed:])


def test_probabilities_sum_to_one() -> None:
    prior = make(codebook_size=3)
    codes = torch.tensor(list(itertools.product(range(3), repeat=2))).view(-1, 1, 1, 2)
    torch.testing.assert_close(prior.log_prob(codes).exp().sum().item(), 1.0, rtol=1e-12, atol=0)


def test_a_window_limits_what_is_seen() -> None:
    # One layer sees the inputs of the last three positions, and so the last three codes before a position.
    prior, codes = make(depth=1, window=3), random_codes(1, 1, 9)
    before, codes[0, 0, 2] = prior.code_log_probs(codes)[0, 0], (codes[0, 0, 2] + 1) % 5
    changed = (prior.code_log_probs(codes)[0, 0] != before).nonzero()[:, 0].tolist()
    assert changed == [2, 3, 4, 5]


@pytest.mark.parametrize("window", [0, 3])
@pytest.mark.parametrize("space", [(6,), (4, 5), (3, 3, 3)])
def test_masked_positions_do_not_count(space: tuple[int, ...], window: int) -> None:
    prior, codes = make(num_codebooks=2, window=window), random_codes(2, 2, *space)
    mask = torch.ones_like(codes[:, 0], dtype=torch.bool)
    mask[0, space[0] - 2 :] = False
    expected = torch.cat([prior.log_prob(codes[:1, :, : space[0] - 2]), prior.log_prob(codes[1:])])
    torch.testing.assert_close(prior.log_prob(codes, mask=mask), expected)
    mask[1, ..., 0] = False
    other = torch.where(mask[:, None], codes, 4 - codes)
    assert torch.equal(prior.log_prob(other, mask=mask), prior.log_prob(codes, mask=mask))
    assert torch.equal(prior.log_prob(codes, mask=torch.zeros_like(mask)), torch.zeros(2, dtype=torch.float64))
    assert torch.isfinite(prior(Batch(codes, mask=torch.zeros_like(mask))).loss)


def test_an_action_changes_the_next_frame_and_no_earlier_one() -> None:
    prior, codes = make(actions=3), random_codes(1, 1, 4, 2, 2)
    actions = torch.tensor([[0, 1, 2, 0]])
    before = prior.code_log_probs(codes, Condition(actions=actions))[0, 0]
    actions[0, 1] = 2
    after = prior.code_log_probs(codes, Condition(actions=actions))[0, 0]
    assert torch.equal(after[:2], before[:2]) and (after[2] != before[2]).all()
    torch.testing.assert_close(cached(prior, codes, Condition(actions=actions))[0, 0], after)
    actions[0, 3] = 1
    assert torch.equal(prior.code_log_probs(codes, Condition(actions=actions))[0, 0], after), "nothing follows the last frame"


def test_wrong_actions_are_errors() -> None:
    prior, codes = make(actions=2), random_codes(1, 1, 3, 2, 2)
    for actions, message in ((None, "missing"), (torch.zeros(1, 1).long(), "first 2 frames"), (torch.full((1, 2), 2), "0 to 1")):
        with pytest.raises(DataError, match=message):
            prior.log_prob(codes, Condition(actions=actions))


def test_maps_may_have_any_size() -> None:
    prior = make(num_codebooks=2, window=8)
    for space in ((1,), (50,), (1, 1), (9, 2), (2, 9, 1)):
        drawn = sample(prior, 1, space, generator=torch.Generator().manual_seed(0))
        assert drawn.shape == (1, 2, *space) and prior.log_prob(drawn).isfinite().all()


def test_the_shape_of_a_map_counts() -> None:
    prior, codes = make(), random_codes(1, 1, 12)
    nats = [prior.log_prob(codes.view(1, 1, *space)).item() for space in ((12,), (3, 4), (4, 3), (3, 2, 2))]
    assert len(set(nats)) == 4


def test_a_clip_prior_sees_one_frame_less_than_a_training_clip() -> None:
    prior, codes = make(depth=1, clip_length=3), random_codes(1, 1, 6, 2, 2)
    before = prior.code_log_probs(codes)[0, 0].flatten()
    codes[0, 0, 0, 0, 0] = (codes[0, 0, 0, 0, 0] + 1) % 5
    after = prior.code_log_probs(codes)[0, 0].flatten()
    assert (after != before).nonzero()[:, 0].tolist() == list(range(9))
    torch.testing.assert_close(cached(prior, codes)[0, 0].flatten(), after)


def test_memory_of_decoding_is_that_of_the_window() -> None:
    prior = make(window=4)
    state, code = prior.start(1, (20,)), None
    for _ in range(20):
        logits, state = prior.step(code, state)
        code = logits.argmax(1)
    assert all(part.shape[2] == 4 for cache in state._caches for part in cache.held())


def test_dropout_is_used_in_training_alone() -> None:
    prior, codes = make(dropout=0.5), random_codes(1, 1, 6)
    assert torch.equal(prior.log_prob(codes), prior.log_prob(codes))
    prior.train()
    assert not torch.equal(prior.log_prob(codes), prior.log_prob(codes))


@pytest.mark.parametrize("changes", [{"dim": 10}, {"heads": 0}, {"window": -1}, {"dropout": 1.0}, {"clip_length": -1}])
def test_wrong_settings_are_errors(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"TransformerPriorConfig.{next(iter(changes)).replace('heads', '(heads|dim)')}"):
        make(**changes)


def test_codes_without_space_are_errors() -> None:
    with pytest.raises(DataError, match="no axis of space"):
        make().log_prob(random_codes(2, 1))


def test_a_pattern_is_learned() -> None:
    # Stripes that begin anywhere: uniform codes by their frequencies, and certain after the first.
    prior = make(torch.float32, codebook_size=4, depth=1, dim=32).train()
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    starts = torch.arange(4)
    codes = ((starts[:, None, None] + torch.arange(4)[:, None] + torch.arange(4)) % 4)[:, None]
    for _ in range(40):
        loss = prior(Batch(codes)).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unigram, best = math.log(4), math.log(4) / 16
    assert best < loss.item() < best + 0.1 * unigram
