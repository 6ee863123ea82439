"""The memory of past frames and actions."""

import torch

from vqvae.layers.frame_memory import FrameMemory, Overview
from vqvae.layers.places import Places


def make(books: int = 2, actions: int = 3, overview: int = 2) -> FrameMemory:
    torch.manual_seed(0)
    sizes = {"memory": 3, "reach": 1, "embedding": 4, "places": 4, "overview": overview, "blocks": 1, "width": 6}
    memory = FrameMemory(codebook_size=5, num_codebooks=books, actions=actions, **sizes).eval()
    with torch.no_grad():
        memory.first.normal_()
    return memory


def clips(count: int = 2, time: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 5, (count, 2, time, 3, 4), generator=drawn)
    return codes, torch.randint(0, 3, (count, time - 1), generator=drawn)


def test_the_memories_of_a_clip_are_those_of_its_frames_one_by_one() -> None:
    memory = make()
    codes, actions = clips()
    one = memory.nothing(2, (3, 4))
    found = memory.before_each(codes, actions)
    for time in range(4):
        torch.testing.assert_close(found[:, time], one)
        if time < 3:
            one = memory.remember(one, codes[:, :, time], actions[:, time])


def test_frames_and_actions_reach_later_memories_alone() -> None:
    memory = make()
    codes, actions = clips()
    found = memory.before_each(codes, actions)
    changed = codes.clone()
    changed[:, 1, 1] = (changed[:, 1, 1] + 1) % 5
    assert [one.equal(other) for one, other in zip(found.unbind(1), memory.before_each(changed, actions).unbind(1), strict=True)] == [
        *(True, True),
        *(False, False),
    ]
    other_actions = actions.clone()
    other_actions[:, 2] = (actions[:, 2] + 1) % 3
    other = memory.before_each(codes, other_actions)
    assert [one.equal(same) for one, same in zip(found.unbind(1), other.unbind(1), strict=True)] == [True, True, True, False]


def test_before_the_last_frame_some_frames_are_remembered() -> None:
    memory = make()
    codes, actions = clips(count=1)
    # With `first` frames left out, the memory is that of the shorter clip.
    shorter = [memory.before_each(codes[:, :, first:], actions[:, first:])[:, -1] for first in range(4)]
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        found = memory.before_last(codes, actions)
        seen.update(i for i, one in enumerate(shorter) if torch.allclose(one, found, atol=1e-6))
    assert seen == {0, 1, 2, 3}


def test_features_of_a_frame_have_one_vector_per_position() -> None:
    memory = make()
    found = memory.features(memory.nothing(2, (3, 4)), Places(4)((3, 4)))
    assert found.shape == (2, 3, 4, 6) and found.isfinite().all() and bool((found >= 0).all())


def test_with_an_overview_one_place_decides_about_the_whole_frame() -> None:
    memory = torch.randn(1, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    other, places = memory.clone(), Places(4)((9, 9)).detach()
    other[:, :, 0, 0] += 1
    for overview in (0, 2):
        made = make(overview=overview)
        for parameter in made.overview.parameters():
            torch.nn.init.normal_(parameter)
        changed = (made.features(memory, places) != made.features(other, places)).any(3)[0]
        assert changed[0, 0] and changed[4:, 4:].any() == bool(overview)


def test_an_overview_changes_nothing_before_training() -> None:
    x = torch.randn(2, 6, 3, 4)
    assert torch.equal(Overview(6, 2)(x), x)
