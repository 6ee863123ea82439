import numpy as np
import pytest
import torch

from vqvae.data import ClipsDataset, Episodes, FramesDataset
from vqvae.data.episodes import dataset_of, frame_size
from vqvae.errors import ConfigError, DataError
from vqvae.signals import Signal

_LENGTHS = (5, 2, 9)


def episodes(lengths=_LENGTHS, acts=True, **changes) -> Episodes:
    """Frames that hold their own number, in episodes of these lengths; the action after frame n is n % 3."""
    count = sum(lengths)
    frames = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 3, 2, 4)).copy()
    frames[:, 1] += 100
    fields = {
        "frames": frames,
        "episode": np.repeat(np.arange(len(lengths)) + 7, lengths),
        "names": tuple(f"map/{number}" for number in range(len(lengths))),
        "frame_rate": 8.75,
    }
    if acts:
        fields |= {"actions": np.arange(count) % 3, "action_names": ("left", "right", "wait")}
    return Episodes(**fields | changes)


def test_clips_begin_at_every_frame_and_lie_inside_one_episode():
    clips = ClipsDataset(episodes(), 4, "a")
    batch = clips.batch(np.arange(len(clips)))
    assert batch.x[:, 0, :, 0, 0].tolist() == [list(range(first, first + 4)) for first in (0, 1, 7, 8, 9, 10, 11, 12)]
    assert [clips.place(index) for index in (0, 1, 2, 7)] == [(0, 0), (0, 1), (2, 0), (2, 5)]
    assert clips.signal == Signal(axes=("time", "height", "width"), channels=3, levels=256, sample_rate=8.75)
    assert batch.mask is None and batch.x.is_contiguous()
    clips.signal.check(batch.x)


def test_the_action_of_a_frame_leads_to_the_next():
    clips = ClipsDataset(episodes(), 3, "a")
    batch = clips.batch(np.array([4, 0]))
    assert batch.condition.actions.tolist() == (batch.x[:, 0, :, 0, 0] % 3).tolist()
    assert batch.x[0, :, 0, 1, 2].tolist() == [8, 108, 8] and clips.action_names == ("left", "right", "wait")


def test_without_actions_there_is_no_condition():
    for dataset in (ClipsDataset(episodes(acts=False), 3, "a"), FramesDataset(episodes(acts=False), "a")):
        assert dataset.batch(np.arange(2)).condition.actions is None and dataset.action_names == ()


def test_apart_gives_each_frame_once_with_a_mask_over_what_fills_up():
    apart = ClipsDataset(episodes(), 4, "a").apart()
    batch = apart.batch(np.arange(len(apart)))
    assert batch.x.shape == (3, 3, 9, 2, 4) and batch.mask.shape == (3, 9, 2, 4)
    assert batch.x[:, 0][batch.mask].tolist() == np.repeat(np.arange(16), 8).tolist()
    assert batch.mask[:, :, 0, 0].sum(1).tolist() == list(_LENGTHS)
    assert batch.condition.actions[1].tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0]
    assert apart.apart().batch(np.arange(3)).x.equal(batch.x) and apart.name == "a"


def test_long_episodes_are_cut_and_equal_ones_need_no_mask():
    apart = ClipsDataset(episodes((600,)), 4, "a").apart()
    batch = apart.batch(np.arange(3))
    assert batch.mask[:, :, 0, 0].sum(1).tolist() == [256, 256, 88]
    equal = ClipsDataset(episodes((5, 5)), 2, "a").apart()
    assert equal.batch(np.arange(2)).mask is None and len(equal) == 2


def test_a_length_of_zero_gives_single_frames():
    frames, clips = dataset_of(episodes(), 0, "a"), dataset_of(episodes(), 2, "a")
    assert isinstance(frames, FramesDataset) and frames.name == "a" != clips.name
    batch = frames.batch(np.array([6, 2]))
    assert torch.equal(batch.x, torch.from_numpy(frames.frames[[6, 2]])) and batch.condition.actions.tolist() == [[0], [2]]
    assert frames.signal.axes == ("height", "width") and set(frames.episode) == {7, 8, 9} and frames.actions is not None


def test_frames_may_be_mapped_into_memory(tmp_path):
    np.save(tmp_path / "frames.npy", episodes().frames)
    mapped = ClipsDataset(episodes(frames=np.load(tmp_path / "frames.npy", mmap_mode="r")), 4, "a")
    batch = mapped.batch(np.arange(3))
    assert torch.equal(batch.x, ClipsDataset(episodes(), 4, "a").batch(np.arange(3)).x)
    batch.x.zero_()
    assert mapped.batch(np.arange(1)).x.any()


def test_frames_of_an_episode():
    found = episodes()
    assert [found.frames_of(number) for number in range(3)] == [slice(0, 5), slice(5, 7), slice(7, 16)]
    assert found.lengths.tolist() == list(_LENGTHS)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"actions": np.zeros(15, np.int64)}, "16 frames but 15 actions"),
        ({"poses": np.zeros((4, 2), np.float32)}, "16 frames but 4 poses"),
        ({"extra": {"map": np.zeros((3, 8))}}, "16 frames but 3 map"),
        ({"names": ("a",)}, "3 episodes but 1 names"),
        ({"action_names": ()}, "both actions and action_names"),
        ({"actions": np.full(16, 3)}, "range from 3 to 3; there are 3 names"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes, words):
    with pytest.raises(DataError, match=words):
        episodes(**changes)


@pytest.mark.parametrize("length", [0, 10])
def test_a_clip_longer_than_every_episode_is_refused(length):
    with pytest.raises(DataError, match="the longest has 9. Choose a clip length from 1 to 9"):
        ClipsDataset(episodes(), length, "a")


def test_a_size_is_one_number_or_two_within_bounds():
    assert frame_size(5, "A") == (5, 5) and frame_size((3, 4), "A") == (3, 4)
    for size in (0, (3, 0), 10**6, (1, 2**25)):
        with pytest.raises(ConfigError, match=r"A\.size is .*at least 1, and their product at most 16,777,216"):
            frame_size(size, "A")
