"""The prior over frames of codes."""

import itertools

import pytest
import torch

import vqvae
from vqvae.data.base import Batch, Condition
from vqvae.errors import DataError
from vqvae.layers.autoregressive import sample
from vqvae.priors import WorldPrior, WorldPriorConfig

SMALL = {"memory": 3, "reach": 1, "blocks": 1, "width": 4, "layers": 2, "hidden": 4, "output_hidden": 5}


def make(codebook_size: int = 5, **changes: int) -> WorldPrior:
    torch.manual_seed(0)
    prior = WorldPriorConfig(codebook_size=codebook_size, **{"actions": 3, **SMALL, **changes}).build().eval()
    with torch.no_grad():
        prior.logits_bias.normal_()
        prior.memory.first.normal_()
    return prior


def clips(prior: WorldPrior, count: int = 2, time: int = 3, height: int = 3, width: int = 4) -> Batch:
    drawn = torch.Generator().manual_seed(1)
    shape = (count, prior.num_codebooks, time, height, width)
    codes = torch.randint(0, prior.codebook_size, shape, generator=drawn)
    return Batch(codes, Condition(actions=torch.randint(0, max(prior.actions, 1), (count, time), generator=drawn)))


def test_probabilities_add_up_to_one() -> None:
    prior = make(codebook_size=2)
    every = torch.tensor(list(itertools.product(range(2), repeat=8))).view(-1, 1, 2, 2, 2)
    actions = Condition(actions=torch.ones(len(every), 2, dtype=torch.int64))
    assert float(prior.log_prob(every, actions).detach().double().exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("books", [1, 2])
def test_step_by_step_is_the_same_as_all_at_once(books: int) -> None:
    prior = make(num_codebooks=books)
    batch = clips(prior)
    state, before, found = prior.start(2, tuple(batch.x.shape[2:]), batch.condition), None, []
    for code in batch.x.movedim(1, -1).flatten(1).unbind(1):
        logits, state = prior.step(before, state)
        found.append(logits.log_softmax(1).gather(1, code[:, None])[:, 0])
        before = code
    expected = prior.code_log_probs(batch.x, batch.condition).movedim(1, -1).flatten(1)
    torch.testing.assert_close(torch.stack(found, 1), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(prior.log_prob(batch.x, batch.condition), expected.sum(1), atol=1e-4, rtol=1e-5)


def test_a_frame_depends_on_earlier_frames_and_actions_alone() -> None:
    prior = make()
    batch = clips(prior, time=4)
    each = prior.code_log_probs(batch.x, batch.condition)

    def changed(x: torch.Tensor, actions: torch.Tensor) -> list[bool]:
        other = prior.code_log_probs(x, Condition(actions=actions))
        return [not torch.equal(one, two) for one, two in zip(each.unbind(2), other.unbind(2), strict=True)]

    x, actions = batch.x, batch.condition.actions
    assert actions is not None
    other = actions.clone()
    other[:, 1] = (other[:, 1] + 1) % 3
    assert changed(x, other) == [False, False, True, True], "actions[1] leads from frame 1 to frame 2"
    other = actions.clone()
    other[:, 3] = (other[:, 3] + 1) % 3
    assert changed(x, other) == [False] * 4, "no frame follows the last action"
    frames = x.clone()
    frames[:, :, 2, -1, -1] = (frames[:, :, 2, -1, -1] + 1) % 5
    assert changed(frames, actions) == [False, False, True, True]


def test_without_actions_they_are_ignored() -> None:
    prior = make(actions=0)
    batch = clips(prior)
    assert prior.log_prob(batch.x).equal(prior.log_prob(batch.x, Condition(actions=torch.full((2, 3), 99))))


@pytest.mark.parametrize(("books", "known"), [(1, 0), (1, 1), (1, 2), (2, 1)])
def test_the_kernel_draws_what_steps_draw(books: int, known: int) -> None:
    pytest.importorskip("numba")
    prior = make(num_codebooks=books)
    batch = clips(prior, time=3)
    prefix = torch.full_like(batch.x, -1)
    prefix[:, :, :known] = batch.x[:, :, :known]
    prefix[:, :, known, :2] = batch.x[:, :, known, :2]
    prefix[:, :, known, 2, 1] = batch.x[:, :, known, 2, 1]
    uniforms = torch.rand(2, batch.x[0].numel(), dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    space = tuple(batch.x.shape[2:])
    drawn = [sample(prior, 2, space, uniforms=uniforms, condition=batch.condition, prefix=prefix, compiled=way) for way in (True, False)]
    assert drawn[0].equal(drawn[1])
    assert drawn[0][prefix >= 0].equal(batch.x[prefix >= 0])
    free = sample(prior, 2, space, uniforms=uniforms, condition=batch.condition, compiled=True)
    assert free.equal(sample(prior, 2, space, uniforms=uniforms, condition=batch.condition, compiled=False))


def test_masked_frames_cost_nothing() -> None:
    prior = make()
    batch = clips(prior)
    mask = torch.ones(2, 3, 3, 4, dtype=torch.bool)
    mask[1, 2] = False
    short = prior.log_prob(batch.x[1:, :, :2], Condition(actions=batch.condition.actions[1:]))
    torch.testing.assert_close(prior.log_prob(batch.x, batch.condition, mask)[1:], short, atol=1e-4, rtol=1e-5)


def test_maps_may_have_any_size() -> None:
    prior = make()
    batch = clips(prior, time=2, height=5, width=7)
    assert prior.log_prob(batch.x, batch.condition).isfinite().all()


@pytest.mark.parametrize(
    ("x", "actions", "words"),
    [
        (torch.zeros(2, 1, 3, 4, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64), "needs three, \\(time, height, width\\)"),
        (torch.zeros(2, 1, 3, 3, 4, dtype=torch.int64), None, "condition.actions is missing"),
        (torch.zeros(2, 1, 3, 3, 4, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.int64), "each of the first 2 frames"),
        (torch.zeros(2, 1, 3, 3, 4, dtype=torch.int64), torch.full((2, 3), 3), "this prior has 0 to 2"),
        (torch.full((2, 1, 3, 3, 4), 5), torch.zeros(2, 3, dtype=torch.int64), "this prior has 0 to 4"),
    ],
)
def test_wrong_input_is_named(x: torch.Tensor, actions: torch.Tensor | None, words: str) -> None:
    with pytest.raises(DataError, match=words):
        make().log_prob(x, Condition(actions=actions))


def test_it_learns_what_an_action_does() -> None:
    torch.manual_seed(0)
    prior = WorldPriorConfig(codebook_size=4, actions=2, **SMALL | {"memory": 8, "width": 8, "hidden": 8}).build()
    optimizer = torch.optim.Adam(prior.parameters(), 1e-2)
    drawn = torch.Generator().manual_seed(0)

    def batch() -> Batch:
        x = torch.randint(0, 4, (16, 1, 1, 2, 6), generator=drawn)
        actions = torch.randint(0, 2, (16, 2), generator=drawn)
        second = torch.stack([one.roll(1 if go else -1, -1) for one, go in zip(x, actions[:, 0], strict=True)])
        return Batch(torch.cat([x, second], 2), Condition(actions=actions))

    for _ in range(150):
        optimizer.zero_grad()
        prior(batch()).loss.backward()
        optimizer.step()
    prior.eval()
    one = batch()
    right = prior.code_log_probs(one.x, one.condition)[:, :, 1, :, 1:-1].mean()
    wrong = prior.code_log_probs(one.x, Condition(actions=1 - one.condition.actions))[:, :, 1, :, 1:-1].mean()
    assert right > -0.7 and wrong < right - 0.7


def test_it_is_saved_with_its_tokenizer(tmp_path: object) -> None:
    from tests.models import toy
    from vqvae.models import FrameTokenizer, VQVAEConfig

    tokenizer = FrameTokenizer(toy.make(VQVAEConfig))
    vqvae.save(vqvae.Pipeline(tokenizer, make(codebook_size=toy.SIZE)), f"{tmp_path}/run")
    assert isinstance(vqvae.load(f"{tmp_path}/run").prior, WorldPrior)


def test_training_takes_the_last_frame_after_some_of_the_others() -> None:
    prior = make().train()
    batch = clips(prior, count=4, time=3)
    with torch.no_grad():
        per_start = []
        for first in range(3):
            short = batch.x[:, :, first:]
            each = prior.code_log_probs(short, Condition(actions=batch.condition.actions[:, first:]))
            per_start.append(-each[:, :, -1].flatten(1).mean(1))
        possible = torch.stack(per_start, 1)
        torch.manual_seed(5)
        first = torch.randint(3, (4,))
        torch.manual_seed(5)
        found = prior(batch).loss
    torch.testing.assert_close(found, possible.gather(1, first[:, None]).mean())
    assert prior.eval()(batch).loss != found
