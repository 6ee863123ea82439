"""Pictures and charts of arrays."""

import numpy as np
import pytest
import torch

from vqvae.evaluation.arrays.drawings import columns_of, draw, draw_error, draw_pairs
from vqvae.signals import Signal

SERIES = Signal(axes=("time",), channels=2)
MAPS = Signal(axes=("frequency", "time"), channels=1)
VOLUMES = Signal(axes=("depth", "height", "width"), channels=5)
CLASSES = Signal(axes=("height", "width"), channels=1, levels=3)


def test_series_are_lines_with_the_error_below() -> None:
    x = torch.randn(3, 2, 40)
    found = draw_pairs(x, x + 1, SERIES, "Pairs.")
    assert found.pixels is None and found.chart is not None
    # Two channels of three examples with two lines each, and an error per example.
    assert (
        (found.chart.count("<polyline"), found.chart.count("<polygon")) == (12, 3)
        and "example 3, channel 2" in found.chart
        and "time 39" in found.chart
    )


def test_maps_have_rows_of_originals_reconstructions_and_errors() -> None:
    x = torch.zeros(2, 1, 96, 96)
    made = x.clone()
    made[1, 0, 90:, :] = 0.5
    found = draw_pairs(x, made, MAPS, "Pairs.")
    assert found.chart is None and found.pixels is not None and found.pixels.shape[0] == 3 * 98 - 2
    assert found.caption == "Pairs. Down: frequency. Across: time. Error: black is 0, the brightest colour 0.5."
    assert found.pixels[2 * 98 + 95, -1].tolist() == [255, 255, 224], "the largest error is the brightest"
    assert found.pixels[2 * 98 + 5, -1].tolist() == [0, 0, 0]


def test_volumes_show_their_middle_and_three_channels() -> None:
    found = draw(torch.randn(2, 5, 3, 100, 100), VOLUMES, "New.")
    assert found.pixels is not None and found.pixels.shape[0] == 3 * 102 - 2
    assert found.caption == "New. Each picture is the middle slice along depth."


def test_classes_have_colours_and_their_error_is_a_share() -> None:
    x = torch.randint(0, 3, (2, 1, 8, 8), dtype=torch.uint8)
    found = draw_pairs(x, x, CLASSES, "Pairs.")
    assert found.pixels is not None and "share of channels that differ" in found.caption


@pytest.mark.parametrize(("signal", "size"), [(SERIES, (40,)), (MAPS, (80, 1_000)), (VOLUMES, (4, 9, 9))])
def test_errors_by_position_and_room(signal: Signal, size: tuple[int, ...]) -> None:
    found = draw_error(torch.rand(size, dtype=torch.float64), signal, "Error.")
    assert (found.chart is None) == (len(size) > 1)
    assert 1 <= columns_of(signal, size) <= 8
    if found.pixels is not None:
        assert found.pixels.dtype == np.uint8 and max(found.pixels.shape) < 900
