"""The gated PixelCNN prior, beyond what every prior must do."""

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor

from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import sample
from vqvae.priors import PixelCNN, PixelCNNConfig, UnigramPriorConfig

SMALL = {"layers": 3, "hidden": 8, "output_hidden": 6}


def make(size: int = 7, books: int = 2, classes: int = 0, scale: float = 2.0, **settings: int) -> PixelCNN:
    torch.manual_seed(0)
    prior = PixelCNNConfig(codebook_size=size, num_codebooks=books, classes=classes, **{**SMALL, **settings}).build().eval()
    for parameter in prior.parameters():
        parameter.data.mul_(scale)
    return prior


def random_codes(*shape: int, size: int = 7) -> Tensor:
    return torch.randint(size, shape, generator=torch.Generator().manual_seed(1))


def all_logits(prior: PixelCNN, codes: Tensor, condition: Condition = Condition()) -> Tensor:
    """(batch, draws, codebook_size) from one forward pass."""
    hidden = prior._hidden(codes, prior._bias(condition), None).relu()
    logits = torch.einsum("bhwcu,cuk->bhwck", hidden, prior.logits_weight) + prior.logits_bias
    return logits.flatten(1, 3).detach()


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("books", [1, 3])
@pytest.mark.parametrize("space", [(5, 9), (9, 5)])
def test_each_step_gives_the_logits_of_the_whole(kernel: int, books: int, space: tuple[int, int]) -> None:
    prior = make(books=books, kernel=kernel, classes=2)
    codes, condition = random_codes(2, books, *space), Condition(label=torch.tensor([1, 0]))
    expected, flat = all_logits(prior, codes, condition), codes.permute(0, 2, 3, 1).flatten(1)
    state, code = prior.start(2, space, condition), None
    for position in range(flat.shape[1]):
        logits, state = prior.step(code, state)
        torch.testing.assert_close(logits, expected[:, position], rtol=0, atol=1e-5)
        code = flat[:, position]


def test_rows_that_are_known_are_taken_in_at_once() -> None:
    prior, prefix = make(), torch.full((2, 2, 5, 9), -1)
    prefix[:, :, :3], prefix[1, :, 3] = 1, 1
    assert prior.start(2, (5, 9), prefix=prefix).position == 3 * 9 * 2


def test_a_code_reaches_all_later_ones_and_no_earlier_one() -> None:
    prior = make(size=3, layers=6).double()
    codes = random_codes(1, 2, 3, 4, size=3)
    before = all_logits(prior, codes)[0]
    for position in range(24):
        other = codes.clone()
        place, book = divmod(position, 2)
        other[0, book].view(-1)[place] = (other[0, book].view(-1)[place] + 1) % 3
        changed = (all_logits(prior, other)[0] != before).any(1)
        assert not changed[: position + 1].any() and changed[position + 1 :].all()


def test_logits_do_not_change_with_the_codes_that_wait_in_the_batch() -> None:
    prior, codes = make(), random_codes(3, 2, 5, 9)
    torch.testing.assert_close(prior.log_prob(codes)[1:2], prior.log_prob(codes[1:2]))


@pytest.mark.parametrize("books", [1, 3])
def test_all_codes_have_the_probabilities_that_their_logits_give(books: int) -> None:
    prior, codes, condition = make(books=books, classes=2), random_codes(2, books, 3, 5), Condition(label=torch.tensor([1, 0]))
    found = prior.log_probs(codes, condition)
    assert found.shape == (2, books, 7, 3, 5)
    torch.testing.assert_close(found.permute(0, 3, 4, 1, 2).flatten(1, 3), all_logits(prior, codes, condition).log_softmax(-1))
    torch.testing.assert_close(found.gather(2, codes.unsqueeze(2)).flatten(1).sum(1), prior.log_prob(codes, condition))
    with pytest.raises(DataError, match="label is missing"):
        prior.log_probs(codes)


def test_sample_frequencies_are_the_probabilities() -> None:
    count, prior = 20000, make(size=2, layers=2, scale=3.0)
    every = torch.tensor(list(itertools.product(range(2), repeat=4))).view(-1, 2, 1, 2)
    expected = prior.log_prob(every).exp()
    drawn = sample(prior, count, (1, 2), generator=torch.Generator().manual_seed(0))
    numbers = (drawn.flatten(1) * torch.tensor([8, 4, 2, 1])).sum(1)
    found = torch.bincount(numbers, minlength=16) / count
    assert (found - expected).abs().le(5 * (expected / count).sqrt()).all()
    assert (expected - 1 / 16).abs().max() > 0.05, "a test that a uniform distribution would not pass"


def test_training_on_a_pattern_falls_below_the_unigram_entropy() -> None:
    torch.manual_seed(0)
    # Every code follows from the one above and the class; on their own, all four are equally likely.
    top = torch.randint(4, (64, 1, 1, 6))
    label = torch.randint(2, (64,))
    codes = (top + torch.arange(5).view(5, 1) * (1 + label.view(-1, 1, 1, 1))) % 4
    batch = Batch(codes, Condition(label=label))
    unigram = UnigramPriorConfig(codebook_size=4).build()
    unigram.count(codes)
    prior = PixelCNNConfig(codebook_size=4, classes=2, **SMALL).build()
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
    for _ in range(40):
        loss = prior(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The first row is free: 1/5 of log 4 is the floor.
    assert loss < 0.5 * unigram(batch).loss and loss > 0.2 * math.log(4) - 0.05
    drawn = sample(prior.eval(), 8, (5, 6), condition=Condition(label=torch.arange(8) % 2), temperature=0.0)
    step = (drawn[:, 0, 1:] - drawn[:, 0, :-1]) % 4
    assert ((step == 1 + (torch.arange(8) % 2).view(-1, 1, 1)).float().mean()) > 0.9


def test_every_parameter_learns() -> None:
    for books, classes in ((1, 0), (2, 2)):
        prior = make(books=books, classes=classes)
        condition = Condition(label=torch.tensor([0, 1])) if classes else Condition()
        prior(Batch(random_codes(2, books, 5, 9), condition)).loss.backward()
        assert [name for name, p in prior.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_bfloat16_in_channels_last_is_close_to_float32() -> None:
    prior, codes = make(scale=1.0), random_codes(2, 2, 5, 9)
    expected = prior(Batch(codes)).loss
    moved = copy.deepcopy(prior).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = moved(Batch(codes)).loss
    found.backward()
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0)
    torch.testing.assert_close(moved.log_prob(codes), prior.log_prob(codes))


def test_large_logits_stay_finite_under_autocast() -> None:
    prior = make(scale=1.0)
    prior.logits_bias.data[:, 0] = 1e6
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nats = prior.log_prob(torch.ones(1, 2, 2, 2, dtype=torch.int64))
    assert nats.isfinite().all() and nats < -1e6


@pytest.mark.parametrize("space", [(4,), (2, 2, 2)])
def test_space_must_have_two_axes(space: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="two"):
        make().log_prob(random_codes(1, 2, *space))
    with pytest.raises(DataError, match="two"):
        make().start(1, space)


@pytest.mark.parametrize(
    "wrong", [{"kernel": 4}, {"kernel": 1}, {"layers": 0}, {"hidden": 0}, {"classes": -1}, {"dropout": 1.0}, {"codebook_size": 0}]
)
def test_wrong_settings_are_errors(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=f"PixelCNNConfig.{next(iter(wrong))}"):
        PixelCNNConfig(**{"codebook_size": 4, **wrong})


def test_samples_are_those_of_the_weights_after_a_fused_step() -> None:
    from vqvae.training import AdamConfig

    trained, codes = make(), random_codes(4, 2, 2, 3)
    optimizer = AdamConfig(learning_rate=0.1).build(trained)
    for _ in range(2):
        sample(trained.eval(), 2, (2, 3), generator=torch.Generator().manual_seed(0))
        trained(Batch(codes)).loss.backward()
        optimizer.step(optimizer.norm(), 0, 1)
        fresh = copy.deepcopy(trained)
        drawn, expected = (sample(one.eval(), 8, (2, 3), generator=torch.Generator().manual_seed(0)) for one in (trained, fresh))
        assert torch.equal(drawn, expected)


def test_sampling_works_in_inference_mode_and_after_it() -> None:
    prior = make()
    with torch.inference_mode():
        first = sample(prior, 2, (2, 3), generator=torch.Generator().manual_seed(0))
    assert torch.equal(sample(prior, 2, (2, 3), generator=torch.Generator().manual_seed(0)), first)
    loss = prior(Batch(random_codes(1, 2, 2, 3))).loss
    loss.backward()


def test_a_one_row_and_a_one_column_map() -> None:
    prior = make()
    for space in ((1, 6), (6, 1), (1, 1)):
        drawn = sample(prior, 2, space, generator=torch.Generator().manual_seed(0))
        assert drawn.shape == (2, 2, *space)
