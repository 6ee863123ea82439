"""Series as SVG pictures."""

import re
from xml.etree import ElementTree

import numpy as np

from vqvae.reports.series import Panel, series_chart


def points(text: str) -> list[np.ndarray]:
    lines = re.findall(r'<polyline points="([^"]+)"', text)
    return [np.array([[float(x) for x in pair.split(",")] for pair in one.split()]) for one in lines]


def test_lines_keep_their_peaks_and_share_a_frame() -> None:
    long = np.zeros(10_000)
    long[5_003] = 1.0
    text = series_chart("a & b", ("original", "made"), [Panel("one <two>", [long, 0.5 * long], long)], "time")
    ElementTree.fromstring(text)
    first, second = points(text)
    error = points(text.replace("<polygon", "<polyline"))[2]
    assert error[0, 1] == error[-1, 1] == error[:, 1].max(), "the area begins and ends at 0"
    assert np.ptp(first[:, 1]) == 84 and np.ptp(second[:, 1]) == 42, "the peak of one sample is drawn"
    assert np.ptp(error[:, 1]) == 34 and len(first) <= 1_280
    assert "time 9999" in text and "error" in text


def test_short_and_flat_lines_are_drawn() -> None:
    text = series_chart("flat", ("value",), [Panel("flat", [np.ones(3)]), Panel("point", [np.array([2.0])])], "time")
    ElementTree.fromstring(text)
    assert "<circle" in text and "nan" not in text and ">value<" not in text
