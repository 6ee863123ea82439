"""What every prior of the Union must do."""

import inspect
import itertools
import json
import typing

import pytest
import torch
from torch import Tensor

from vqvae import config as configuration
from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.layers.autoregressive import Choice
from vqvae.priors import (
    AutoregressivePrior,
    MaskedPriorConfig,
    Prior,
    PriorConfig,
    SamplingPrior,
    UnigramPriorConfig,
    WaveNetConfig,
    WorldPriorConfig,
)

KINDS = typing.get_args(PriorConfig)
SMALL = {
    "layers": 2,
    "hidden": 8,
    "kernel": 3,
    "cycle": 2,
    "residual": 8,
    "skip": 8,
    "output_hidden": 8,
    "memory": 8,
    "width": 8,
    "blocks": 1,
    "channels": 8,
    "depth": 2,
    "passes": 4,
    "dim": 8,
    "heads": 2,
}
SEQUENCES = (WaveNetConfig,)
"""Kinds whose codes have one axis, time; the others are tried with maps."""
FRAMES = (WorldPriorConfig, MaskedPriorConfig)
"""Kinds whose codes are frames."""


def fields(kind: type) -> set[str]:
    return set(inspect.signature(kind).parameters)


def settings(kind: type, size: int = 3, books: int = 2, classes: int = 0) -> typing.Any:
    chosen = {"codebook_size": size, "num_codebooks": books, "classes": classes, **SMALL}
    return kind(**{name: value for name, value in chosen.items() if name in fields(kind)})


def make(kind: type, size: int = 3, books: int = 2, classes: int = 0) -> Prior:
    torch.manual_seed(0)
    prior = settings(kind, size, books, classes).build()
    if kind is UnigramPriorConfig:
        prior.count(random_codes(5, books, 4, 1, size=size))
    for parameter in prior.parameters():
        # First weights are small; larger ones let every part of the prior show in its numbers.
        parameter.data.mul_(4 if kind is MaskedPriorConfig else 2)
    return prior.eval()


def random_codes(*shape: int, size: int = 3) -> Tensor:
    return torch.randint(size, shape, generator=torch.Generator().manual_seed(1))


def space_of(kind: type, height: int, width: int) -> tuple[int, ...]:
    """A map for kinds that take maps, and as many codes in one line for those that take sequences, or in frames of one line."""
    if kind in FRAMES:
        return (height, 1, width)
    return (height * width,) if kind in SEQUENCES else (height, width)


def cut(codes: Tensor) -> tuple[Tensor, Tensor]:
    """A mask that is True for two thirds of each axis (of frames: of time), and the codes where it is."""
    sides = [slice(2 * side // 3) for side in codes.shape[2:]]
    if len(sides) == 3:
        sides[1:] = [slice(None), slice(None)]
    mask = torch.zeros_like(codes[:, 0], dtype=torch.bool)
    mask[:, *sides] = True
    return mask, codes[:, :, *sides]


def labels(prior: Prior, batch: int, first: int = 0) -> Condition:
    return Condition(label=(torch.arange(batch) + first) % prior.classes) if prior.classes else Condition()


AUTOREGRESSIVE = [kind for kind in KINDS if isinstance(make(kind), AutoregressivePrior)]
SAMPLING = [kind for kind in KINDS if isinstance(make(kind), SamplingPrior)]
CLASSES = [kind for kind in KINDS if "classes" in fields(kind)]
every = pytest.mark.parametrize("kind", KINDS)
autoregressive = pytest.mark.parametrize("kind", AUTOREGRESSIVE)
sampling = pytest.mark.parametrize("kind", SAMPLING)
with_classes = pytest.mark.parametrize("kind", CLASSES)


def test_the_union_has_autoregressive_and_conditional_priors() -> None:
    assert AUTOREGRESSIVE and CLASSES


@every
@pytest.mark.parametrize("space", [(1, 2), (2, 1)])
@pytest.mark.parametrize("classes", [0, 2])
def test_probabilities_sum_to_one(kind: type, space: tuple[int, int], classes: int) -> None:
    prior = make(kind, classes=classes)
    codes = torch.tensor(list(itertools.product(range(3), repeat=4))).reshape(-1, 2, *space_of(kind, *space))
    condition = Condition(label=torch.ones(len(codes), dtype=torch.int64)) if prior.classes else Condition()
    total = prior.log_prob(codes, condition).double().exp().sum()
    torch.testing.assert_close(total, torch.tensor(1.0, dtype=torch.float64), rtol=1e-5, atol=0)


@every
def test_a_mask_leaves_positions_out(kind: type) -> None:
    prior = make(kind)
    codes = random_codes(2, 2, *space_of(kind, 5, 9))
    mask, kept = cut(codes)
    torch.testing.assert_close(prior.log_prob(codes, mask=mask), prior.log_prob(kept))
    other = torch.where(mask[:, None], codes, 2 - codes)
    assert torch.equal(prior.log_prob(other, mask=mask), prior.log_prob(codes, mask=mask)), "masked codes must change nothing"


@every
def test_a_full_mask_is_none(kind: type) -> None:
    prior, codes = make(kind), random_codes(2, 2, *space_of(kind, 5, 4))
    torch.testing.assert_close(prior.log_prob(codes, mask=torch.ones_like(codes[:, 0], dtype=torch.bool)), prior.log_prob(codes))


@every
def test_the_objective_is_nats_a_code(kind: type) -> None:
    prior = make(kind)
    codes = random_codes(2, 2, *space_of(kind, 5, 4))
    torch.testing.assert_close(prior(Batch(codes)).loss, -prior.log_prob(codes).sum() / codes.numel())
    mask, kept = cut(codes)
    torch.testing.assert_close(prior(Batch(codes, mask=mask)).loss, prior(Batch(kept)).loss)


@every
def test_wrong_codes_are_errors(kind: type) -> None:
    prior = make(kind)
    with pytest.raises(DataError, match="0 to 2"):
        prior.log_prob(torch.full((1, 2, *space_of(kind, 4, 4)), 3))
    with pytest.raises(DataError, match=r"\(batch, 2, \*space\)"):
        prior.log_prob(torch.zeros(1, 3, *space_of(kind, 4, 4), dtype=torch.int64))


@every
@pytest.mark.parametrize("batch", [0, 1])
def test_an_empty_batch_and_an_empty_map_have_no_nats(kind: type, batch: int) -> None:
    prior = make(kind)
    nats = prior.log_prob(torch.zeros(batch, 2, *space_of(kind, 0 if batch else 5, 4), dtype=torch.int64))
    assert torch.equal(nats, torch.zeros(batch))


@every
def test_evaluation_is_deterministic_and_changes_nothing(kind: type) -> None:
    prior, codes = make(kind), random_codes(2, 2, *space_of(kind, 5, 4))
    before = {name: tensor.clone() for name, tensor in prior.state_dict().items()}
    assert torch.equal(prior.log_prob(codes), prior.log_prob(codes))
    after = prior.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


@every
def test_autocast_leaves_nats_finite_and_in_float32(kind: type) -> None:
    prior, codes = make(kind), random_codes(2, 2, *space_of(kind, 5, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        nats = prior.log_prob(codes)
    assert nats.dtype == torch.float32 and nats.isfinite().all()
    torch.testing.assert_close(nats, prior.log_prob(codes), rtol=0.05, atol=0)


@every
def test_the_configuration_survives_json(kind: type) -> None:
    config = settings(kind, classes=3)
    assert configuration.from_json(PriorConfig, json.loads(configuration.dumps(config))) == config


@with_classes
def test_classes_count_and_are_checked(kind: type) -> None:
    prior, codes = make(kind, classes=3), random_codes(2, 2, *space_of(kind, 5, 4))
    first, second = (prior.log_prob(codes, labels(prior, 2, shift)) for shift in (0, 1))
    assert not torch.isclose(first, second, rtol=1e-4, atol=0).any()
    alone = prior.log_prob(codes[1:], Condition(label=torch.tensor([1])))
    torch.testing.assert_close(alone, first[1:])
    for call in (prior.log_prob, lambda _, given: prior.draw(torch.rand(2, 40), space_of(kind, 5, 4), given)):
        with pytest.raises(DataError, match="missing"):
            call(codes, Condition())
        with pytest.raises(DataError, match="0 to 2"):
            call(codes, Condition(label=torch.tensor([0, 3])))
        with pytest.raises(DataError, match="expected one label for each of 2"):
            call(codes, Condition(label=torch.tensor([0])))


@with_classes
def test_without_classes_labels_are_not_looked_at(kind: type) -> None:
    prior, codes, given = make(kind), random_codes(2, 2, *space_of(kind, 5, 4)), Condition(label=torch.tensor([7, -1]))
    assert torch.equal(prior.log_prob(codes, given), prior.log_prob(codes))
    numbers = torch.rand(2, 40, generator=torch.Generator().manual_seed(2))
    assert torch.equal(*(prior.draw(numbers, space_of(kind, 5, 4), condition) for condition in (given, Condition())))


@autoregressive
@pytest.mark.parametrize("books", [1, 3])
@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("known", [None, 0, 2, 5])
def test_step_by_step_is_all_at_once(kind: type, books: int, classes: int, known: int | None) -> None:
    prior = make(kind, size=7, books=books, classes=classes)
    codes = random_codes(2, books, *space_of(kind, 5, 9), size=7)
    condition, places = labels(prior, 2), codes.flatten(2)
    prefix = None
    if known is not None:
        prefix = torch.full_like(codes, -1)
        prefix.flatten(2)[:, :, : 9 * known] = places[:, :, : 9 * known]
        prefix.flatten(2)[0, :, 27:36] = places[0, :, 27:36]
    state = prior.start(2, codes.shape[2:], condition, prefix)
    # How many of the known codes at the start are taken in at once is the prior's own business.
    assert 0 <= state.position <= 9 * books * (known or 0) and state.position % books == 0
    flat = places.transpose(1, 2).flatten(1)
    total, code, taken = torch.zeros(2), None, state.position // books
    for position in range(state.position, flat.shape[1]):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits, state = prior.step(code, state)
        assert logits.dtype == torch.float32
        code = flat[:, position]
        total += logits.log_softmax(1)[torch.arange(2), code]
    expected = prior.log_prob(codes, condition)
    if taken:
        expected = expected - prior.log_prob(places[:, :, :taken].unflatten(2, (-1, *codes.shape[3:])), condition)
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-5)


@autoregressive
def test_conditional_probabilities_are_those_of_the_enumeration(kind: type) -> None:
    prior = make(kind)
    # Counted in the order of decoding: the codebooks of the first place, then those of the second.
    flat = torch.tensor(list(itertools.product(range(3), repeat=4)))
    space = space_of(kind, 2, 1)
    p = prior.log_prob(flat.view(-1, 2, 2).transpose(1, 2).reshape(-1, 2, *space)).double().exp().view(3, 3, 3, 3)
    for past in ([], [2], [1, 0], [0, 2, 1]):
        state, logits = prior.start(1, space), None
        for code in (None, *(torch.tensor([c]) for c in past)):
            logits, state = prior.step(code, state)
        given = p[tuple(past)].flatten(1).sum(1) if len(past) < 3 else p[tuple(past)]
        torch.testing.assert_close(logits[0].softmax(0).double(), given / given.sum(), rtol=1e-5, atol=1e-6)


@sampling
@pytest.mark.parametrize("books", [1, 2])
def test_known_codes_stay_and_count(kind: type, books: int) -> None:
    prior = make(kind, size=7, books=books)
    prefix, space = torch.full((3, books, 5, 9), -1), space_of(kind, 5, 9)
    prefix[:, :, 0], prefix[:, 0, 2:4, 3:6], prefix[1, :, 4] = 6, 5, 4
    prefix = prefix.view(3, books, *space)
    numbers = torch.rand(3, 45 * books, generator=torch.Generator().manual_seed(2))
    before = prefix.clone()
    # A low temperature lets what a code depends on show.
    drawn = prior.draw(numbers, space, prefix=prefix, choice=Choice(0.2))
    assert torch.equal(prefix, before), "what is given is not written to"
    assert torch.equal(drawn[prefix >= 0], prefix[prefix >= 0]) and drawn.min() >= 0 and drawn.max() < 7
    other = prior.draw(numbers, space, prefix=prefix.where(prefix != 6, 0), choice=Choice(0.2))
    second_row = [codes.flatten(2)[:, :, 9:18] for codes in (other, drawn)]
    assert not torch.equal(*second_row), "the rest is drawn given what is known"
    whole = random_codes(3, books, *space, size=7)
    assert torch.equal(prior.draw(numbers, space, prefix=whole), whole)


@sampling
def test_wrong_prefixes_and_numbers_are_errors(kind: type) -> None:
    prior = make(kind)
    space, numbers = space_of(kind, 5, 9), torch.rand(1, 90)
    with pytest.raises(DataError, match="prefix"):
        prior.draw(numbers, space, prefix=torch.full((1, 2, *space_of(kind, 9, 6)), -1))
    with pytest.raises(DataError, match="0 to 2"):
        prior.draw(numbers, space, prefix=torch.full((1, 2, *space), 3))
    with pytest.raises(DataError, match="one number per code"):
        prior.draw(numbers[:, 1:], space)
    with pytest.raises(ConfigError, match="temperature"):
        prior.draw(numbers, space, choice=Choice(-1))


@sampling
@pytest.mark.parametrize("batch", [0, 2])
def test_batches_of_samples(kind: type, batch: int) -> None:
    prior, space = make(kind), space_of(kind, 2, 3)
    drawn = prior.draw(torch.rand(batch, 12, generator=torch.Generator().manual_seed(0)), space)
    assert drawn.shape == (batch, 2, *space) and drawn.dtype == torch.int64


@autoregressive
def test_changed_weights_are_noticed_by_decoding(kind: type) -> None:
    prior, space = make(kind), space_of(kind, 1, 1)
    codes = random_codes(1, 2, *space)
    before, _ = prior.step(None, prior.start(1, space))
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    after, _ = prior.step(None, prior.start(1, space))
    assert not torch.allclose(before, after)
    first, last = codes.flatten().unsqueeze(1)
    second, _ = prior.step(first, prior.step(None, prior.start(1, space))[1])
    total = after.log_softmax(1)[0, first] + second.log_softmax(1)[0, last]
    torch.testing.assert_close(total, prior.log_prob(codes).detach())


@sampling
@pytest.mark.parametrize("classes", [0, 2])
def test_what_each_code_costs_adds_up(kind: type, classes: int) -> None:
    prior = make(kind, classes=classes).eval()
    codes = random_codes(2, 2, *space_of(kind, 3, 4))
    each = prior.code_log_probs(codes, labels(prior, 2))
    assert each.shape == codes.shape
    torch.testing.assert_close(each.flatten(1).sum(1), prior.log_prob(codes, labels(prior, 2)))
    if isinstance(prior, AutoregressivePrior):
        torch.testing.assert_close(each, AutoregressivePrior.code_log_probs(prior, codes, labels(prior, 2)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_prior_can_know_all_codes_that_storage_holds(kind: type) -> None:
    assert settings(kind, size=2**31).codebook_size == 2**31
