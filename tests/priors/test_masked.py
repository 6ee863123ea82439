"""The prior that draws many codes at once."""

import itertools
import math

import pytest
import torch

from vqvae.data.base import Batch, Condition
from vqvae.errors import ConfigError, DataError
from vqvae.generation.imagination import imagine_codes
from vqvae.generation.sampling import sample_codes
from vqvae.layers.autoregressive import Choice
from vqvae.layers.spread import cosine_groups, spread_order
from vqvae.priors import MaskedPrior, MaskedPriorConfig

SMALL = {"channels": 8, "depth": 2, "output_hidden": 8, "reach": 1, "blocks": 1, "width": 4}
FRAMES = {"memory": 3, "actions": 3}


def make(codebook_size: int = 5, **changes: int) -> MaskedPrior:
    torch.manual_seed(0)
    prior = MaskedPriorConfig(codebook_size=codebook_size, **SMALL | changes).build().eval()
    with torch.no_grad():
        prior.logits_bias.normal_()
        for parameter in prior.parameters():
            parameter.mul_(3)
        if prior.memory is not None:
            prior.memory.first.normal_()
    return prior


def clips(prior: MaskedPrior, count: int = 2, time: int = 3, height: int = 3, width: int = 4) -> Batch:
    drawn = torch.Generator().manual_seed(1)
    shape = (count, prior.num_codebooks, time, height, width)
    codes = torch.randint(0, prior.codebook_size, shape, generator=drawn)
    return Batch(codes, Condition(actions=torch.randint(0, max(prior.actions, 1), (count, time), generator=drawn)))


def every_map(size: int, *space: int) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(size), repeat=math.prod(space)))).view(-1, 1, *space)


@pytest.mark.parametrize("passes", [1, 2, 3, 6])
def test_probabilities_of_all_pictures_add_up_to_one(passes: int) -> None:
    prior = make(codebook_size=3, passes=passes)
    assert float(prior.log_prob(every_map(3, 2, 3)).detach().double().exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_probabilities_of_all_clips_add_up_to_one(passes: int) -> None:
    prior = make(codebook_size=2, passes=passes, **FRAMES)
    every = every_map(2, 2, 2, 2)
    actions = Condition(actions=torch.ones(len(every), 2, dtype=torch.int64))
    assert float(prior.log_prob(every, actions).detach().double().exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("passes", [1, 2, 4])
def test_samples_follow_the_likelihood(passes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # In one batch, as on a GPU.
    monkeypatch.setattr(MaskedPrior, "draws_alone", False)
    prior, count = make(codebook_size=2, passes=passes), 20_000
    drawn = prior.draw(torch.rand(count, 4, generator=torch.Generator().manual_seed(3)), (2, 2))
    every = every_map(2, 2, 2)
    expected = prior.log_prob(every).detach().exp()
    numbers = (drawn.flatten(1) * torch.tensor([8, 4, 2, 1])).sum(1)
    found = torch.bincount(numbers, minlength=16) / count
    assert float((found - expected).abs().sum()) < 0.04


def test_a_pass_draws_what_code_log_probs_says() -> None:
    prior = make(num_codebooks=2, passes=3)
    likeliest = prior.draw(torch.rand(1, 24), (3, 4), choice=Choice(0))
    each = prior.code_log_probs(likeliest).flatten(2)
    order = spread_order(3, 4)
    for group in cosine_groups(12, 3):
        positions = torch.from_numpy(order[group].copy())
        for book, position in itertools.product(range(2), positions.tolist()):
            other = likeliest.clone().flatten(2)
            other[:, book, position] = (other[:, book, position] + 1) % 5
            costs = prior.code_log_probs(other.view(1, 2, 3, 4)).flatten(2)
            assert costs[0, book, position] <= each[0, book, position], "the likeliest code was drawn"
            same = [p for p in range(12) if p in positions.tolist() or p in order[: group.stop]]
            rest = torch.ones(2, len(same), dtype=torch.bool)
            rest[book, same.index(position)] = False
            # Codes of the same and of earlier groups do not depend on it.
            torch.testing.assert_close(costs[0][:, same][rest], each[0][:, same][rest])


def test_a_frame_depends_on_earlier_frames_and_actions_alone() -> None:
    prior = make(**FRAMES)
    batch = clips(prior, time=4)
    each = prior.code_log_probs(batch.x, batch.condition)

    def changed(x: torch.Tensor, actions: torch.Tensor) -> list[bool]:
        other = prior.code_log_probs(x, Condition(actions=actions))
        return [not torch.equal(each[:, :, time], other[:, :, time]) for time in range(4)]

    actions = batch.condition.actions
    assert actions is not None
    codes = batch.x.clone()
    codes[:, :, 1] = (codes[:, :, 1] + 1) % 5
    assert changed(codes, actions) == [False, True, True, True]
    for number in range(4):
        other = actions.clone()
        other[:, number] = (other[:, number] + 1) % 3
        assert changed(batch.x, other) == [time > number for time in range(4)]


def test_without_a_memory_frames_are_independent() -> None:
    prior = make()
    batch = clips(prior)
    alone = torch.stack([prior.log_prob(frame) for frame in batch.x.unbind(2)]).sum(0)
    torch.testing.assert_close(prior.log_prob(batch.x), alone)


@pytest.mark.parametrize("books", [1, 2])
def test_known_codes_are_kept_and_matter(books: int) -> None:
    prior = make(num_codebooks=books, **FRAMES)
    prior.embedding.data.mul_(5)
    batch = clips(prior, time=3)
    prefix = batch.x.clone()
    prefix[:, :, 2] = -1
    prefix[0, 0, 2, 1:, 1:3] = 4
    numbers = torch.rand(2, 36 * books, generator=torch.Generator().manual_seed(2))
    drawn = prior.draw(numbers, (3, 3, 4), batch.condition, prefix, Choice(0.5))
    assert drawn[prefix >= 0].equal(prefix[prefix >= 0]) and drawn.min() >= 0 and drawn.max() < 5
    changed = prefix.clone()
    changed[0, 0, 2, 1:, 1:3] = 0
    other = prior.draw(numbers, (3, 3, 4), batch.condition, changed, Choice(0.5))
    assert not other[0][prefix[0] < 0].equal(drawn[0][prefix[0] < 0]), "codes that come later in the order are seen too"
    assert other[1].equal(drawn[1])


def test_samples_depend_on_neither_batch_nor_threads() -> None:
    prior = make(codebook_size=40, **FRAMES)
    actions = torch.randint(3, (5, 2), generator=torch.Generator().manual_seed(4))
    chosen = {"condition": Condition(actions=actions), "seed": 3}
    together = sample_codes(prior, 5, (2, 5, 4), **chosen)
    assert together.equal(sample_codes(prior, 5, (2, 5, 4), batch_size=2, **chosen))
    alone = sample_codes(prior, 1, (2, 5, 4), condition=Condition(actions=actions[:1]), seed=3)
    assert alone.equal(together[:1])
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2 if threads == 1 else 1)
        assert together.equal(sample_codes(prior, 5, (2, 5, 4), **chosen))
    finally:
        torch.set_num_threads(threads)


def test_it_imagines_frames() -> None:
    prior = make(**FRAMES)
    batch = clips(prior, time=2)
    actions = torch.zeros(2, 5, dtype=torch.int64)
    found = imagine_codes(prior, batch.x, 3, actions, seed=1)
    assert found.shape == (2, 1, 3, 3, 4)
    turned = imagine_codes(prior, batch.x, 3, actions.index_fill(1, torch.tensor([2]), 1), seed=1)
    assert found[:, :, 0].equal(turned[:, :, 0]) and found[:, :, 1].equal(imagine_codes(prior, batch.x, 2, actions[:, :4], seed=1)[:, :, 1])


def test_masked_frames_cost_nothing() -> None:
    prior = make(**FRAMES)
    batch = clips(prior)
    mask = torch.ones(2, 3, 3, 4, dtype=torch.bool)
    mask[1, 2] = False
    short = prior.log_prob(batch.x[1:, :, :2], Condition(actions=batch.condition.actions[1:]))
    torch.testing.assert_close(prior.log_prob(batch.x, batch.condition, mask)[1:], short)
    torch.testing.assert_close(prior.train()(batch._replace(mask=mask)).loss, -prior.log_prob(*batch[:2], mask).sum() / mask.sum())
    mask[1, 2, 0] = True
    with pytest.raises(DataError, match="cuts frames"):
        prior.log_prob(batch.x, batch.condition, mask)
    with pytest.raises(DataError, match="cuts frames"):
        make().log_prob(batch.x[:, :, 0], mask=mask[:, 2])


def test_the_cost_in_training_is_that_of_the_likelihood_on_average() -> None:
    prior = make(passes=3, num_codebooks=2).train()
    codes = clips(prior, count=1, time=1).x[:, :, 0].expand(3000, -1, -1, -1)
    torch.manual_seed(0)
    with torch.no_grad():
        found = float(prior(Batch(codes)).metrics["nats_per_code"])
        expected = -float(prior.log_prob(codes[:1])) / 24
    assert found == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize("changes", [{}, FRAMES])
def test_training_reaches_every_weight(changes: dict[str, int]) -> None:
    prior = make(classes=2, **changes).train()
    batch = clips(prior, count=16, time=3)
    given = batch.condition._replace(label=torch.arange(16) % 2)
    if not changes:
        batch, given = batch._replace(x=batch.x[:, :, 0]), given._replace(actions=None)
    torch.manual_seed(0)
    prior(Batch(batch.x, given)).loss.backward()
    assert [name for name, weight in prior.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_it_learns_a_pattern() -> None:
    torch.manual_seed(0)
    prior = MaskedPriorConfig(codebook_size=4, **SMALL | {"channels": 16}, passes=4).build()
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    drawn = torch.Generator().manual_seed(0)

    def batch() -> Batch:
        # The first code decides all others.
        ramp = torch.arange(4) + torch.arange(4)[:, None]
        return Batch((ramp + torch.randint(4, (32, 1, 1, 1), generator=drawn)) % 4)

    for _ in range(60):
        optimizer.zero_grad()
        prior(batch()).loss.backward()
        optimizer.step()
    cost = float(prior.eval()(batch()).loss.detach())
    assert math.log(4) / 16 < cost < 0.4 * math.log(4), "unigram costs log 4"


@pytest.mark.parametrize(
    ("x", "actions", "words"),
    [
        (torch.zeros(2, 1, 4, dtype=torch.int64), None, "needs two, \\(height, width\\), or three"),
        (torch.zeros(2, 1, 3, 3, 4, dtype=torch.int64), None, "condition.actions is missing"),
        (torch.zeros(2, 1, 3, 3, 4, dtype=torch.int64), torch.full((2, 3), 3), "this prior has 0 to 2"),
        (torch.full((2, 1, 3, 3, 4), 5), torch.zeros(2, 3, dtype=torch.int64), "this prior has 0 to 4"),
    ],
)
def test_wrong_input_is_named(x: torch.Tensor, actions: torch.Tensor | None, words: str) -> None:
    prior = make(**FRAMES)
    with pytest.raises(DataError, match=words):
        prior.log_prob(x, Condition(actions=actions))


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="passes is 0"):
        MaskedPriorConfig(codebook_size=4, passes=0)
    with pytest.raises(ConfigError, match="set memory to 64"):
        MaskedPriorConfig(codebook_size=4, actions=2)
