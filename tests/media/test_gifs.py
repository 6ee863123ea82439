from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vqvae.errors import DataError
from vqvae.media.gifs import gif_pictures, shown_times, write_gif
from vqvae.media.video import read_video


def _pictures(*values) -> list[Image.Image]:
    return [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in values]


def _times(path, durations):
    first, *rest = _pictures(*range(0, 20 * len(durations), 20))
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=durations)
    with path.open("rb") as file:
        return shown_times(file, path)


@pytest.mark.parametrize(
    ("durations", "rate", "counts"),
    [
        ([100, 100, 100], 10, [1, 1, 1]),
        ([100, 300, 100], 10, [1, 3, 1]),
        ([30, 30, 40], 30, [1, 1, 1]),
        ([40, 80, 40], 25, [1, 2, 1]),
        ([0, 0, 0], 10, [1, 1, 1]),
    ],
)
def test_times_become_a_rate_and_counts(tmp_path, durations, rate, counts):
    assert _times(tmp_path / "a.gif", durations) == (pytest.approx(rate), counts)


def test_times_that_fit_no_rate_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.gif changes its frame rate: a frame is shown for 200 ms, another for 290 ms"):
        _times(tmp_path / "a.gif", [200, 200, 200, 200, 290])


def test_the_pictures_are_complete(tmp_path):
    pictures = _pictures(10, 50, 50, 200)
    write_gif(tmp_path / "a.gif", pictures, 8.75)
    with (tmp_path / "a.gif").open("rb") as file:
        assert shown_times(file, tmp_path / "a.gif")[1] == [1, 2, 1]
        found = [np.asarray(picture).mean() for picture in gif_pictures(file, tmp_path / "a.gif")]
    assert np.allclose(found, [10, 50, 200], atol=2)


def test_a_small_file_with_huge_pictures_takes_no_memory(tmp_path):
    write_gif(tmp_path / "a.gif", _pictures(10), 10)
    content = bytearray((tmp_path / "a.gif").read_bytes())
    content[6:10] = b"\xff" * 4
    (tmp_path / "a.gif").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.gif has frames of 65535 x 65535 pixels, and at most 180,000,000 pixels are read"):
        read_video(tmp_path / "a.gif")


def test_damage_is_explained_without_words_of_the_decoder(tmp_path):
    write_gif(tmp_path / "a.gif", _pictures(10, 50, 100), 10)
    content = (tmp_path / "a.gif").read_bytes()
    for length in (0, 5, 12):
        (tmp_path / "a.gif").write_bytes(content[:length])
        with pytest.raises(DataError, match=r"a\.gif cannot be decoded: it is damaged, cut short, or no GIF file\.$"):
            read_video(tmp_path / "a.gif")


@pytest.mark.parametrize(("width", "rate"), [(70_000, 10.0), (8, 1e-4)])
def test_what_the_format_cannot_hold_is_an_error(tmp_path: Path, width: int, rate: float) -> None:
    with pytest.raises(DataError, match="cannot be written as a GIF: it holds at most 65,535 pixels"):
        write_gif(tmp_path / "a.gif", [Image.new("L", (width, 2))] * 2, rate)
