"""Charts are well-formed, inside their frame, and say what they show."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from vqvae.reports.charts import Bar, Series, area_chart, bar_chart, heat_map, line_chart, save_line_chart, save_svg


def lines(text: str) -> list[list[tuple[float, float]]]:
    root = ElementTree.fromstring(text)
    found = [one.attrib["points"] for one in root.iter() if one.tag in ("polyline", "polygon")]
    return [[tuple(map(float, point.split(","))) for point in points.split()] for points in found]


def ticks(text: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(text).iter("text")]


def test_a_line_keeps_the_order_of_its_points() -> None:
    (points,) = lines(line_chart("loss", [Series("training", [(200, 3.0), (600, 1.0), (1000, 2.0)])]))
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x0 < x1 < x2 <= 340 and x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    # SVG counts downwards.
    assert 0 <= y0 < y2 < y1 <= 190


def test_a_steep_start_does_not_flatten_the_rest() -> None:
    points = [(float(step), 1000.0 if step < 3 else 2 + step / 100) for step in range(100)]
    (drawn,) = lines(line_chart("loss", [Series("training", points)]))
    assert drawn[0][1] < 0
    rest = [y for _, y in drawn[10:]]
    assert max(rest) - min(rest) > 100


@pytest.mark.parametrize("low", [0.0, -3.0, 1e-5, 7e5])
@pytest.mark.parametrize("width", [0.0, 1e-6, 1.0, 33.0])
def test_ticks_are_few_and_round(low: float, width: float) -> None:
    texts = ticks(line_chart("y", [Series("one", [(0, low), (700, low + width)])]))
    assert 4 <= len(texts) <= 20
    assert {"0", "200", "400", "600"} <= set(texts)


def test_what_is_not_finite_is_left_out() -> None:
    (points,) = lines(line_chart("loss", [Series("training", [(0, 1.0), (1, math.nan), (2, math.inf), (3, 2.0)])]))
    assert len(points) == 2
    assert line_chart("loss", [Series("training", [(0, math.nan)])]) == ""


def test_many_points_are_thinned_to_their_ends() -> None:
    (points,) = lines(area_chart("use", [Series("one", [(float(x), float(x)) for x in range(5000)])]))
    assert len(points) == 402
    (edge, *_), (last, _) = points[1], points[-2]
    assert edge < last == max(x for x, _ in points)


def test_bars_share_a_scale() -> None:
    text = bar_chart("time", [Bar("a", (1.0, 1.0), "two"), Bar("b", (1.0,), "one")], ["first", "second"])
    ElementTree.fromstring(text)
    assert re.findall(r"width:([\d.]+)%", text) == ["50.00", "50.00", "50.00"]
    assert bar_chart("time", []) and bar_chart("time", [Bar("nothing", (0.0,), "0")])


def test_text_is_escaped() -> None:
    bad = "<b>&\"'"
    chart = Series(bad, [(0, 1.0), (1, 2.0)])
    for text in (line_chart(bad, [chart, chart]), area_chart(bad, [chart]), bar_chart(bad, [Bar(bad, (1.0,), bad)], [bad])):
        ElementTree.fromstring(text)
        assert "<b>" not in text


def test_a_saved_chart_stands_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "curve.svg"
    save_line_chart(path, "bits & codes", [Series("short", [(1, 5.0), (2, 6.0)]), Series("long", [(1, 4.0), (2, math.nan), (3, 3.0)])])
    text = path.read_text()
    root = ElementTree.fromstring(text)
    said = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"bits & codes", "short", "long"} <= set(said)
    drawn = [one for one in root.iter() if one.tag.endswith("polyline")]
    assert [len(one.attrib["points"].split()) for one in drawn] == [2, 2]
    for one in drawn:
        colour = one.attrib["class"].split()[-1]
        assert f".{colour} {{ stroke: #" in text
    assert "<circle" not in text
    save_line_chart(path, "dots", [Series("short", [(1, 5.0), (2, 6.0)])], dots=True)
    text = path.read_text()
    shapes = [one for one in ElementTree.fromstring(text).iter() if one.tag.endswith(("polyline", "circle"))]
    assert shapes[0].attrib["points"] == " ".join(f"{mark.attrib['cx']},{mark.attrib['cy']}" for mark in shapes[1:]) != ""
    with pytest.raises(ValueError, match="from 1 to 4"):
        save_line_chart(path, "nothing", [Series("short", [(1, math.inf)])])
    assert path.read_text() == text


def test_a_heat_map_has_a_cell_for_what_is_not_faint(tmp_path: Path) -> None:
    shares = np.array([[0.0, 0.004, 1.0, 0.25], [0.5, 0.0, 0.0, 0.006]])
    text = heat_map("shares & codes", shares, ["<one>", "two"], "codes")
    save_svg(tmp_path / "deep" / "map.svg", text)
    root = ElementTree.fromstring((tmp_path / "deep" / "map.svg").read_text())
    assert [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")] == ["shares & codes", "<one>", "two", "codes"]
    cells = [one.attrib for one in root.iter("{http://www.w3.org/2000/svg}rect")]
    *cells, frame = cells
    assert [cell["fill-opacity"] for cell in cells] == ["1.00", "0.25", "0.50", "0.01"]
    column = float(frame["width"]) / 4
    assert [(float(cell["x"]) - float(frame["x"])) / column for cell in cells] == pytest.approx([2, 3, 0, 3], abs=0.01)
    tops = [float(cell["y"]) - float(frame["y"]) for cell in cells]
    assert tops == [0, 0, float(cells[0]["height"]), float(cells[0]["height"])]
