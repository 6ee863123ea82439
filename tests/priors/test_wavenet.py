"""The WaveNet prior, beyond what every prior must do."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.generation.sampling import sample_codes
from vqvae.layers.autoregressive import sample
from vqvae.priors import UnigramPriorConfig, WaveNetConfig, WaveNetPrior

SMALL = {"layers": 4, "cycle": 2, "residual": 8, "skip": 8, "output_hidden": 8}


def make(size: int = 7, books: int = 2, classes: int = 0, scale: float = 2.0, **settings: int) -> WaveNetPrior:
    torch.manual_seed(0)
    prior = WaveNetConfig(codebook_size=size, num_codebooks=books, classes=classes, **{**SMALL, **settings}).build().eval()
    for parameter in prior.parameters():
        parameter.data.mul_(scale)
    return prior


def random_codes(*shape: int, size: int = 7) -> Tensor:
    return torch.randint(size, shape, generator=torch.Generator().manual_seed(1))


def test_codebooks_take_turns() -> None:
    prior, codes = make(books=3), random_codes(2, 3, 5)
    values = torch.stack([codes[:, i % 3, i // 3] for i in range(15)], 1)
    logs = prior.wavenet(values).log_softmax(-1)
    torch.testing.assert_close(prior.log_prob(codes), logs.gather(2, values[..., None]).sum((1, 2)))


def test_a_later_codebook_of_a_step_is_told_the_earlier_one() -> None:
    prior = make(size=3, layers=6)
    # Given the codebook before it in the same step, the second one has another distribution.
    last = [prior.log_prob(torch.tensor([[[1, 2, first], [0, 1, second]]])) for first, second in itertools.product(range(3), repeat=2)]
    table = torch.stack(last).view(3, 3).log_softmax(1)
    assert (table[0] - table[1]).abs().max() > 0.01


@pytest.mark.parametrize("compiled", [False, True])
def test_sample_frequencies_are_the_probabilities(compiled: bool) -> None:
    if compiled:
        pytest.importorskip("numba")
    count, prior = 4000, make(size=2, layers=2, scale=3.0, classes=2)
    every = torch.tensor(list(itertools.product(range(2), repeat=4))).view(-1, 2, 2).transpose(1, 2)
    label = torch.ones(count, dtype=torch.int64)
    expected = prior.log_prob(every, Condition(label=label[:16])).exp()
    drawn = sample(prior, count, (2,), generator=torch.Generator().manual_seed(0), condition=Condition(label=label), compiled=compiled)
    numbers = (drawn.transpose(1, 2).flatten(1) * torch.tensor([8, 4, 2, 1])).sum(1)
    found = torch.bincount(numbers, minlength=16) / count
    # Five standard deviations of a frequency.
    assert (found - expected).abs().le(5 * (expected / count).sqrt()).all()
    assert (expected - 1 / 16).abs().max() > 0.05, "a test that a uniform distribution would not pass"


def test_training_on_a_pattern_falls_below_the_unigram_entropy() -> None:
    torch.manual_seed(0)
    # Every code follows from the one two before it and the class; on their own, all four are equally likely.
    start, label = torch.randint(4, (64, 1, 1, 2)), torch.randint(2, (64,))
    codes = ((start + torch.arange(6).view(6, 1) * (1 + label.view(-1, 1, 1, 1))) % 4).flatten(2)
    batch = Batch(codes, Condition(label=label))
    unigram = UnigramPriorConfig(codebook_size=4).build()
    unigram.count(codes)
    prior = WaveNetConfig(codebook_size=4, classes=2, **SMALL).build()
    optimizer = torch.optim.Adam(prior.parameters(), lr=1e-2)
    for _ in range(60):
        loss = prior(batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    # The first two of twelve are free: 1/6 of log 4 is the floor.
    assert math.log(4) / 6 - 0.05 < loss < 0.5 * unigram(batch).loss
    drawn = sample(prior.eval(), 8, (12,), condition=Condition(label=torch.arange(8) % 2), temperature=0.0)
    step = (drawn[:, 0, 2:] - drawn[:, 0, :-2]) % 4
    assert (step == 1 + (torch.arange(8) % 2).view(-1, 1)).float().mean() > 0.9


def test_ragged_sequences_are_each_alone() -> None:
    prior, codes = make(classes=2), random_codes(3, 2, 9)
    lengths, label = torch.tensor([9, 4, 1]), torch.tensor([0, 1, 0])
    found = prior.log_prob(codes, Condition(label=label), torch.arange(9) < lengths[:, None])
    for i, length in enumerate(lengths):
        alone = prior.log_prob(codes[i : i + 1, :, :length], Condition(label=label[i : i + 1]))
        torch.testing.assert_close(found[i : i + 1], alone)
    with pytest.raises(DataError, match="True after it was False"):
        prior.log_prob(codes, Condition(label=label), torch.arange(9) >= lengths[:, None] - 1)


def test_every_parameter_learns() -> None:
    for books, classes in ((1, 0), (2, 2)):
        prior = make(books=books, classes=classes)
        condition = Condition(label=torch.tensor([0, 1])) if classes else Condition()
        prior(Batch(random_codes(2, books, 30), condition)).loss.backward()
        assert [name for name, p in prior.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("space", [(3, 2), (2, 2, 3)])
def test_codes_with_more_axes_are_a_sequence_in_raster_order(space: tuple[int, ...]) -> None:
    prior, codes = make().eval(), random_codes(2, 2, *space)
    assert torch.equal(prior.log_prob(codes), prior.log_prob(codes.flatten(2)))
    drawn = sample_codes(prior, 2, space, seed=3)
    assert drawn.shape == (2, 2, *space)
    assert torch.equal(drawn.flatten(2), sample_codes(prior, 2, (math.prod(space),), seed=3))


def test_codes_without_an_axis_are_an_error() -> None:
    with pytest.raises(DataError, match="no axis of space"):
        make().log_prob(random_codes(1, 2))
    with pytest.raises(DataError, match="no axis of space"):
        make().start(1, ())


@pytest.mark.parametrize("wrong", [*({name: 0} for name in (*SMALL, "codebook_size", "num_codebooks")), {"classes": -1}, {"dropout": 1.0}])
def test_wrong_settings_are_errors(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=f"WaveNetConfig.{next(iter(wrong))}"):
        WaveNetConfig(**{"codebook_size": 4, **wrong})
