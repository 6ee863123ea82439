import numpy as np
import pytest
from PIL import Image

from vqvae.media.gifs import gif_pictures, shown_times, write_gif


def _pictures(*values) -> list[Image.Image]:
    return [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in values]


def _times(path, durations):
    first, *rest = _pictures(*range(0, 20 * len(durations), 20))
    first.save(path, format="GIF", save_all=True, append_images=rest, duration=durations)
    with path.open("rb") as file:
        return shown_times(file)


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
    with pytest.raises(ValueError, match="the time between frames changes from 200 to 290 ms"):
        _times(tmp_path / "a.gif", [200, 200, 200, 200, 290])


def test_the_pictures_are_complete(tmp_path):
    pictures = _pictures(10, 50, 50, 200)
    write_gif(tmp_path / "a.gif", pictures, 8.75)
    with (tmp_path / "a.gif").open("rb") as file:
        assert shown_times(file)[1] == [1, 2, 1]
        found = [np.asarray(picture).mean() for picture in gif_pictures(file)]
    assert np.allclose(found, [10, 50, 200], atol=2)
