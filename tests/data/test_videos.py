import json
import logging

import numpy as np
import pytest
import torch
from PIL import Image

from vqvae.data import ClipsDataset, FramesDataset, VideosConfig
from vqvae.errors import ConfigError, DataError
from vqvae.media.video import write_video


def _frames(value, count=5, size=(8, 8)):
    """Grey frames: uint8 (time, 3, height, width). Neighbours differ, so that a GIF keeps each."""
    frames = np.full((count, 3, *size), value, np.uint8)
    frames[:, :, 0, 0] = 40 * np.arange(count)[:, None] % 256
    return frames


def _write(root, name, value=100, count=5, actions=None, rate=10.0, size=(8, 8)):
    """A clip, as a file or as a folder of frames whose name ends with a slash, and its track."""
    frames = _frames(value, count, size)
    if name.endswith("/"):
        (root / name).mkdir(parents=True)
        for number, frame in enumerate(frames):
            Image.fromarray(frame.transpose(1, 2, 0)).save(root / name / f"frame_{number + 1}.png")
    else:
        write_video(root / name, frames, rate)
    if actions is not None:
        lines = "".join(json.dumps({"action": action}) + "\n" for action in actions)
        (root / name.rstrip("/")).with_suffix(".jsonl").write_text(lines)


@pytest.fixture
def build(tmp_path):
    """Build the data in ``tmp_path / "clips"``."""
    (tmp_path / "clips").mkdir()

    def build(**changes):
        return VideosConfig(
            **{"path": str(tmp_path / "clips"), "size": 8, "clip_length": 3, "cache": str(tmp_path / "cache")} | changes
        ).build()

    return build


def test_files_and_folders_of_frames_are_clips_on_their_sides(tmp_path, build):
    root = tmp_path / "clips"
    _write(root, "train/a.gif", 50)
    _write(root, "train/walk/", 150, count=12)
    _write(root, "test/b.gif", 250, count=4)
    train, held_out = build()
    assert train.episodes.names == ("a.gif", "walk/*") and held_out.episodes.names == ("b.gif",)
    assert train.episodes.lengths.tolist() == [5, 12] and len(train) == 3 + 10 and len(held_out) == 2
    assert isinstance(train, ClipsDataset) and train.signal.sample_rate == 10 and train.action_names == ()
    batch = train.batch(np.array([0, 12]))
    assert batch.x.shape == (2, 3, 3, 8, 8) and batch.condition.actions is None
    assert batch.x[:, 0, :, 4, 4].tolist() == [[50] * 3, [150] * 3]
    # frame_10 comes after frame_9, not after frame_1.
    assert train.episodes.frames[5:, 0, 0, 0].tolist() == [40 * number % 256 for number in range(12)]


def test_without_sides_some_clips_are_held_out_and_a_length_of_zero_gives_frames(tmp_path, build):
    for number in range(4):
        _write(tmp_path / "clips", f"{number}.gif", 20 * number)
    train, held_out = build(clip_length=0, channels=1, size=(4, 6))
    assert isinstance(train, FramesDataset) and (len(train), len(held_out)) == (15, 5)
    assert train.frames.shape == (15, 1, 4, 6) and train.name != held_out.name


def test_tracks_give_the_action_at_each_frame(tmp_path, build):
    root = tmp_path / "clips"
    _write(root, "train/a.gif", actions=["right", "right", "wait", "left", "left"])
    _write(root, "train/b/", count=3, actions=["left", "wait", "right"])
    _write(root, "test/c.gif", actions=["wait"] * 5)
    train, held_out = build()
    assert train.action_names == held_out.action_names == ("left", "right", "wait")
    assert train.episodes.actions.tolist() == [1, 1, 2, 0, 0, 0, 2, 1]
    other = build(actions=("wait", "jump", "left", "right")).train
    assert other.episodes.actions.tolist() == [3, 3, 0, 2, 2, 2, 0, 3] and other.name != train.name


def test_clips_are_decoded_once_and_known_by_their_bytes(tmp_path, build, monkeypatch):
    for number in range(3):
        _write(tmp_path / "clips", f"{number}.gif", 50 * number)
    first = build()
    with monkeypatch.context() as patch:
        patch.setattr("vqvae.data.videos.video_frames", None)
        again = build()
    for one, other in zip(first, again, strict=True):
        assert one.name == other.name and torch.equal(one.batch(np.arange(3)).x, other.batch(np.arange(3)).x)
    _write(tmp_path / "clips", "1.gif", 201)
    assert build().train.name != first.train.name and build(size=4).train.name != first.train.name


def test_a_decoding_that_is_interrupted_leaves_nothing_and_starts_anew(tmp_path, build, monkeypatch):
    for number in range(3):
        _write(tmp_path / "clips", f"{number}.gif", 50 * number)

    def interrupted(*args, **kwargs):
        yield _frames(9)[0]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("vqvae.data.videos.video_frames", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build()
    assert not [path for path in (tmp_path / "cache").iterdir() if not path.name.startswith(".")]
    assert build().train.episodes.frames[:5, 0, 4, 4].tolist() in ([0] * 5, [50] * 5)


def test_another_frame_rate_is_read_at_one_for_all(tmp_path, build):
    root = tmp_path / "clips"
    _write(root, "a.gif", 50, count=10, rate=10)
    _write(root, "b.gif", 150, count=10, rate=20)
    _write(root, "c/", 200, count=4)
    with pytest.raises(DataError, match=r"different frame rates: a\.gif has 10 and b\.gif has 20 .* Give frame_rate"):
        build()
    train, held_out = build(frame_rate=5.0)
    lengths = dict(
        zip((*train.episodes.names, *held_out.episodes.names), (*train.episodes.lengths, *held_out.episodes.lengths), strict=True)
    )
    assert lengths == {"a.gif": 5, "b.gif": 3, "c/*": 4} and train.signal.sample_rate == 5


@pytest.mark.parametrize("name", ["clips/a.gif", "clips"])
def test_the_end_of_a_single_clip_is_held_out(tmp_path, build, name):
    actions = ["left", "right"] * 20
    _write(tmp_path / "clips", "a.gif", count=40, actions=actions)
    (train, held_out), short = build(path=str(tmp_path / name)), build(path=str(tmp_path / name), clip_length=0)
    assert train.episodes.lengths.tolist() == [37] and held_out.episodes.lengths.tolist() == [3]
    assert [len(side.frames) for side in short] == [38, 2]
    frames = np.concatenate([side.episodes.frames for side in (train, held_out)])
    assert np.abs(frames.astype(int) - _frames(100, 40)).max() < 8
    assert train.episodes.actions.tolist() == [0, 1] * 18 + [0] and held_out.episodes.actions.tolist() == [1, 0, 1]
    assert train.name != held_out.name and len({side.name for side in (*build(clip_length=0), *build(clip_length=3))}) == 4


def _one_bad(root):
    _write(root, "a.gif", 50)
    _write(root, "b.gif", 100)
    (root / "c.gif").write_bytes(b"GIF89a, but damaged")


def test_clips_that_cannot_be_decoded_are_named_or_skipped(tmp_path, build, caplog):
    _one_bad(tmp_path / "clips")
    for _ in range(2):  # Also when it comes from the cache.
        with pytest.raises(DataError, match=r"1 of 3 video files cannot be decoded:\n.*c\.gif cannot be decoded"):
            build()
    with caplog.at_level(logging.WARNING):
        train, held_out = build(skip_bad=True)
    assert len(train.episodes.frames) + len(held_out.episodes.frames) == 10 and "c.gif" in caplog.text


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        ({"a.gif": ["left"] * 4, "b.gif": ["left"] * 5}, r"a\.jsonl has 4 actions, and .*a\.gif has 5 frames\. Give one for each"),
        ({"a.gif": ["left"] * 5, "b.gif": None}, r"b\.gif has no track of actions, but others do\. Add b\.jsonl"),
        ({"a.gif": [{"no": 1}] * 5, "b.gif": ["left"] * 5}, r"a\.jsonl, line 1, is .* such as \{\"action\": \"left\"\} is expected"),
    ],
)
def test_tracks_that_do_not_fit_are_explained(tmp_path, build, clips, words):
    for name, actions in clips.items():
        _write(tmp_path / "clips", name, actions=actions)
    with pytest.raises(DataError, match=words):
        build()


def test_unknown_actions_are_explained(tmp_path, build):
    _write(tmp_path / "clips", "train/a.gif", actions=["left", "left", "right", "left", "left"])
    _write(tmp_path / "clips", "test/b.gif", actions=["left"] * 4 + ["jump"])
    with pytest.raises(DataError, match=r"track of b\.gif in .* has the action 'jump'; the actions are left, right\."):
        build()
    with pytest.raises(DataError, match=r"track of a\.gif in .* has the action 'right'; the actions are left, jump\."):
        build(actions=("left", "jump"))


def test_a_track_with_damage_is_explained(tmp_path, build):
    _write(tmp_path / "clips", "a.gif", actions=["left"] * 5)
    _write(tmp_path / "clips", "b.gif", actions=["left"] * 5)
    for content, words in ((b"{", r"a\.jsonl, line 1, is not valid JSON"), (b"\xff", r"a\.jsonl is not UTF-8")):
        (tmp_path / "clips" / "a.jsonl").write_bytes(content)
        with pytest.raises(DataError, match=words):
            build()


def test_a_clip_with_actions_is_not_read_at_another_rate(tmp_path, build):
    for name in ("a.gif", "b.gif"):
        _write(tmp_path / "clips", name, actions=["left"] * 5)
    assert len(build(frame_rate=10.0).train.episodes.frames) == 5
    with pytest.raises(DataError, match="has 10 frames per second and an action for each, and frame_rate is 5"):
        build(frame_rate=5.0)


def test_frames_of_unequal_size_or_number_are_explained(tmp_path, build):
    root = tmp_path / "clips"
    _write(root, "a/")
    _write(root, "b/")
    Image.fromarray(np.zeros((4, 8, 3), np.uint8)).save(root / "a" / "frame_3.png")
    with pytest.raises(DataError, match=r"frame_3\.png has 8 x 4 pixels, and the frames before it have 8 x 8"):
        build()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(root / "a" / "frame_03.png")
    with pytest.raises(DataError, match=r"have the same number"):
        build()


def test_what_cannot_be_built_is_explained(tmp_path, build):
    with pytest.raises(DataError, match="holds no clips: neither video files"):
        build()
    with pytest.raises(DataError, match="There is no folder or file"):
        build(path=str(tmp_path / "nowhere"))
    _write(tmp_path / "clips", "a.gif")
    with pytest.raises(DataError, match=r"a\.gif has 5 frames; at least 6 are needed to train on it and hold out its end"):
        build()
    _write(tmp_path / "clips", "b.gif")
    with pytest.raises(DataError, match="No episode has 9 frames; the longest has 5"):
        build(clip_length=9)
    for changes, words in (
        ({"size": 0}, "VideosConfig.size is 0"),
        ({"clip_length": -1}, "clip_length is -1"),
        ({"frame_rate": 0.0}, "frame_rate is 0.0; it must be above 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            build(**changes)
