import numpy as np
import pytest

from vqvae.data.layout import axes_of
from vqvae.errors import ConfigError, DataError


@pytest.mark.parametrize(
    ("shape", "dtype", "layout", "expected"),
    [
        ((9, 50), np.float32, "auto", "n time"),
        ((9, 50, 3), np.float32, "auto", "n time c"),
        ((9, 9, 128), np.float32, "auto", "n c time"),
        ((9, 80, 200), np.float32, "auto", "n height width"),
        ((9, 8, 64), np.uint8, "auto", "n height width"),
        ((9, 28, 28, 3), np.uint8, "auto", "n height width c"),
        ((9, 16, 16, 16), np.float32, "auto", "n depth height width"),
        ((9, 2, 8, 16, 16), np.float32, "auto", "n c depth height width"),
        ((80, 200, 9), np.float32, "f t n", "frequency time n"),
        ((9, 3, 5, 3), np.uint8, "channels_first", "n c height width"),
        ((100_000,), np.float32, "auto", "time"),
        ((3, 100_000), np.float32, "auto", "c time"),
        ((100_000, 3), np.float32, "auto", "time c"),
        ((100_000, 30), np.float32, "auto", "n time"),
        ((3, 100_000), np.float32, "n t", "n time"),
        ((80, 100_000), np.float32, "f t", "frequency time"),
    ],
)
def test_the_shape_or_the_layout_names_the_axes(shape, dtype, layout, expected):
    axes = axes_of(shape, layout, np.dtype(dtype), "x")
    assert axes.layout == expected
    view = axes.apply(np.zeros(shape))
    assert view.ndim == 2 + len(axes.names) and len(view) == axes.count(shape)


@pytest.mark.parametrize("layout", ["", "h w", "n c", "n n h", "n a b d e", "n h h"])
def test_a_layout_that_cannot_be_is_refused(layout):
    with pytest.raises(ConfigError, match="data.layout is"):
        axes_of((9, 4, 4), layout, np.dtype(np.uint8), "x")


@pytest.mark.parametrize(("shape", "layout"), [((9, 4, 4), "n h w c"), ((9, 3, 5, 3), "auto"), ((9, 16, 32, 32), "auto")])
def test_a_shape_that_does_not_tell_is_asked_about(shape, layout):
    with pytest.raises(DataError, match="layout|1 to 5 axes"):
        axes_of(shape, layout, np.dtype(np.uint8), "x")
