import tracemalloc
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vqvae.errors import ConfigError, DataError, MissingExtraError
from vqvae.media import video
from vqvae.media.images import read_image
from vqvae.media.video import frame_rate_of, read_video, video_frames, write_video


def moving(count=10, size=(32, 48), channels=3) -> np.ndarray:
    """A bright square that moves to the right over a dark ground: uint8 (time, channels, height, width)."""
    frames = np.full((count, channels, *size), 30, np.uint8)
    for number, frame in enumerate(frames):
        frame[:, 8:20, 2 * number : 2 * number + 12] = 220
    return frames


def _encoded(path, pictures, times, size=None, base=Fraction(1, 1000)):
    """A file of grey pictures of these values, shown at these times in milliseconds."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4" if path.suffix == ".mp4" else "libvpx", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.codec_context.time_base = 32, 32, "yuv420p", base
        for value, time in zip(pictures, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), value, np.uint8), format="rgb24")
            frame.pts, frame.time_base = time, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
@pytest.mark.parametrize("rate", [10.0, 8.75, 30.0])
def test_what_is_written_is_read_again(tmp_path, suffix, rate):
    if suffix != ".gif":
        pytest.importorskip("av")
    path = tmp_path / f"clip{suffix}"
    write_video(path, moving(), rate)
    found = read_video(path)
    assert found.frames.shape == (10, 3, 32, 48) and found.frames.dtype == np.uint8
    assert np.abs(found.frames.astype(int) - moving()).mean() < 4
    assert found.frame_rate == pytest.approx(rate, rel=0.04) and frame_rate_of(path) == found.frame_rate


def test_equal_neighbours_in_a_gif_stay_so_many_frames(tmp_path):
    frames = moving(8)[[0, 1, 1, 1, 1, 2, 3, 3]]
    write_video(tmp_path / "a.gif", frames, 10)
    assert np.abs(read_video(tmp_path / "a.gif").frames.astype(int) - frames).max() < 8


def test_a_gif_needs_no_pyav_and_a_film_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    write_video(tmp_path / "a.gif", moving(3), 10)
    assert len(list(video_frames(tmp_path / "a.gif"))) == 3
    with pytest.raises(MissingExtraError, match=r"vqvae\[video\]"):
        write_video(tmp_path / "a.mp4", moving(3), 10)
    (tmp_path / "b.mp4").write_bytes(b"0")
    with pytest.raises(MissingExtraError, match=r"vqvae\[video\]"):
        read_video(tmp_path / "b.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "b.mp4"]


def test_frames_are_cut_and_resized_and_become_grey(tmp_path):
    write_video(tmp_path / "a.gif", moving(2), 10)
    grey = read_video(tmp_path / "a.gif", (16, 16), channels=1).frames
    assert grey.shape == (2, 1, 16, 16) and 25 < grey.min() < 45 and 200 < grey.max() < 235


def test_a_film_is_read_upright(tmp_path):
    pytest.importorskip("av")
    frames = moving(3)
    write_video(tmp_path / "a.mp4", frames, 10)
    one, minus = (0x10000).to_bytes(4, "big"), (0xFFFF0000).to_bytes(4, "big")
    content, (none, right) = (tmp_path / "a.mp4").read_bytes(), (bytes(4), one)
    # The matrix in the header of the track, as a phone writes it that is held upright: a quarter turn clockwise.
    header = content.index(b"tkhd")
    as_it_is, turned = one + 3 * none + one, none + right + none + minus + none
    place = content.index(as_it_is, header)
    (tmp_path / "a.mp4").write_bytes(content[:place] + turned + content[place + len(turned) :])
    found = read_video(tmp_path / "a.mp4").frames
    assert found.shape == (3, 3, 48, 32)
    assert np.abs(found.astype(int) - np.rot90(frames, -1, axes=(2, 3))).mean() < 6


def test_odd_sizes_gain_a_row_or_column(tmp_path):
    pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", moving(3, (31, 47), 1), 10)
    assert read_video(tmp_path / "a.mp4").frames.shape == (3, 3, 32, 48)


def test_a_strip_has_the_frames_from_left_to_right_and_an_array_is_exact(tmp_path):
    frames = moving(3)
    write_video(tmp_path / "a.png", frames, 10)
    write_video(tmp_path / "a.npy", iter(frames), 10)
    strip = read_image(tmp_path / "a.png")
    assert strip.shape == (3, 32, 3 * 48 + 4) and np.array_equal(strip[:, :, 50:98], frames[1])
    assert np.array_equal(np.load(tmp_path / "a.npy"), frames)


@pytest.mark.parametrize(("wanted", "expected"), [(10, 10), (5, 5), (20, 20), (3, 3)])
def test_another_frame_rate_repeats_or_skips_frames(tmp_path, wanted, expected):
    write_video(tmp_path / "a.gif", moving(), 10)
    frames = np.stack(list(video_frames(tmp_path / "a.gif", frame_rate=wanted)))
    times = np.arange(len(frames)) / wanted
    assert len(frames) == expected
    assert np.abs(frames.astype(int) - moving()[np.floor(times * 10 + 1e-6).astype(int)]).max() < 8


def test_times_in_milliseconds_make_no_further_frame(tmp_path):
    pytest.importorskip("av")
    write_video(tmp_path / "a.webm", moving(20, (16, 60)), 24)
    frames = np.stack(list(video_frames(tmp_path / "a.webm", frame_rate=12)))
    assert len(frames) == 10 and np.abs(frames.astype(int) - moving(20, (16, 60))[::2]).mean() < 6


def test_a_frame_rate_that_changes_is_refused_unless_one_is_given(tmp_path):
    path = tmp_path / "a.mp4"
    _encoded(path, range(10, 210, 20), [0, 40, 80, 120, 160, 200, 240, 400, 440, 480])
    with pytest.raises(DataError, match=r"a\.mp4 changes its frame rate at frame 7: 160 ms after"):
        list(video_frames(path))
    assert len(list(video_frames(path, frame_rate=25))) == 13


def test_a_size_that_changes_is_refused(tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", moving(4), 10)
    frames = [av.VideoFrame.from_ndarray(np.zeros((size, 32, 3), np.uint8), format="rgb24") for size in (32, 32, 16)]
    opened = av.open

    class Changing:
        def __init__(self, *args, **kwargs):
            self.container = opened(*args, **kwargs)
            self.streams = self.container.streams

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.container.close()

        def decode(self, _):
            return iter(frames)

    monkeypatch.setattr(av, "open", Changing)
    with pytest.raises(DataError, match="changes its size at frame 2, from 32 x 32 to 32 x 16 pixels"):
        list(video_frames(tmp_path / "a.mp4"))


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".mov", ".avi", ".gif"])
@pytest.mark.parametrize("content", [b"", b"no video", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", bytes(range(256)) * 9])
def test_what_is_no_video_is_an_error(tmp_path, suffix, content):
    if suffix != ".gif":
        pytest.importorskip("av")
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    for read in (read_video, frame_rate_of):
        with pytest.raises(DataError, match=r"a\.\w+ (cannot be decoded.*damaged, cut|has no)"):
            read(path)


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".gif"])
def test_damage_anywhere_is_an_error_or_fewer_frames(tmp_path, suffix):
    if suffix != ".gif":
        pytest.importorskip("av")
    write_video(tmp_path / f"whole{suffix}", moving(6), 10)
    whole = (tmp_path / f"whole{suffix}").read_bytes()
    path, random, outcomes = tmp_path / f"a{suffix}", np.random.default_rng(0), set()
    for number in range(40):
        damaged = bytearray(whole)
        if number % 2:
            del damaged[random.integers(len(whole)) :]
        else:
            for place in random.integers(0, len(whole), 4):
                damaged[place] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            outcomes.add(len(read_video(path).frames))
        except DataError as error:
            outcomes.add("error" if str(path) in str(error) else f"an error without the path: {error}")
    assert "error" in outcomes and outcomes <= {"error", *range(1, 7)}


def test_what_cannot_be_read_is_explained(tmp_path):
    with pytest.raises(DataError, match=r"a\.gif cannot be read \(No such file"):
        read_video(tmp_path / "a.gif")
    (tmp_path / "b.gif").mkdir()
    with pytest.raises(DataError, match="it is a folder"):
        read_video(tmp_path / "b.gif")
    with pytest.raises(DataError, match=r"a\.txt is no video file by its name; \.mp4"):
        read_video(tmp_path / "a.txt")
    with pytest.raises(ConfigError, match="frame_rate is 0; it must be above 0"):
        list(video_frames(tmp_path / "a.gif", frame_rate=0))


def test_frames_that_take_too_much_are_refused(tmp_path, monkeypatch):
    write_video(tmp_path / "a.gif", moving(4), 10)
    monkeypatch.setattr(video, "MOST_BYTES", 10_000)
    with pytest.raises(DataError, match="more than .* GiB of frames. Give a smaller size"):
        read_video(tmp_path / "a.gif")
    pytest.importorskip("av")
    write_video(tmp_path / "a.mp4", moving(4), 10)
    monkeypatch.setattr(video, "MOST_PIXELS", 1000)
    with pytest.raises(DataError, match="frames of 48 x 32 pixels, and at most 1,000"):
        next(video_frames(tmp_path / "a.mp4"))


@pytest.mark.parametrize(
    ("name", "frames", "rate", "words"),
    [
        ("a.txt", moving(2), 10, "suffix '.txt'; videos are written as .mp4"),
        ("a.gif", moving(2), 0, "frame_rate is 0"),
        ("a.gif", moving(0), 10, "no frames to write"),
        ("a.npy", [moving(1)[0], moving(1, (16, 16))[0]], 10, r"Frame 1 of a video is uint8 \(3, 16, 16\)"),
        ("a.gif", moving(2).astype(np.float32), 10, "is float32"),
    ],
)
def test_what_cannot_be_written_is_explained_and_leaves_nothing(tmp_path, name, frames, rate, words):
    with pytest.raises((ConfigError, DataError), match=words):
        write_video(tmp_path / name, frames, rate)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_film(tmp_path):
    pytest.importorskip("av")
    peaks = []
    for count in (20, 80):
        write_video(tmp_path / f"{count}.mp4", np.resize(moving(10, (128, 128)), (count, 3, 128, 128)), 10)
        tracemalloc.start()
        assert sum(1 for _ in video_frames(tmp_path / f"{count}.mp4")) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 100_000


@pytest.mark.parametrize("wrong", [{"size": 10**6}, {"size": 0}, {"channels": 2}])
def test_sizes_and_channels_out_of_range_are_errors(tmp_path: Path, wrong: dict[str, int]) -> None:
    write_video(tmp_path / "a.gif", np.zeros((2, 1, 4, 4), np.uint8), 10)
    with pytest.raises(ConfigError, match="must be at least 1, and their product at most|expected 1 for greys or 3 for RGB"):
        next(video_frames(tmp_path / "a.gif", **wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_frames_that_a_codec_refuses_are_an_error(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("av")
    with pytest.raises(DataError, match="cannot be written as a video"):
        write_video(tmp_path / f"a{suffix}", np.zeros((1, 1, 2, 70_000), np.uint8), 10)
