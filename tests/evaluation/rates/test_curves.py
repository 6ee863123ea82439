"""Points of rate and distortion."""

import pytest

from vqvae.evaluation.rates.curves import Point, at_rate, bits_table, lines, mean_point, table

JPEG = [Point(2.0, {"PSNR": 40.0}, "90"), Point(0.5, {"PSNR": 28.0}, "10"), Point(1.0, {"PSNR": 32.0}, "50")]
OURS = [Point(0.6, {"PSNR": 30.0}, "packed"), Point(0.2, {"PSNR": 30.0}, "prior")]


def test_scores_lie_between_the_nearest_points_and_nowhere_beyond_them() -> None:
    assert at_rate(JPEG, 0.75, "PSNR") == pytest.approx(30) and at_rate(JPEG, 2.0, "PSNR") == 40
    assert at_rate(JPEG, 0.4, "PSNR") is None and at_rate(JPEG, 2.1, "PSNR") is None


def test_the_mean_of_examples() -> None:
    assert mean_point(JPEG[:2]) == Point(1.25, {"PSNR": 34.0}, "90")


def test_tables_and_lines_hold_every_mode_and_the_cheapest_one() -> None:
    columns, rows = table({"run": OURS}, {"JPEG": JPEG}, ["PSNR"], "bpp")
    assert columns == ["model", "mode", "bpp", "PSNR vqvae", "PSNR JPEG"]
    smallest = ["JPEG", JPEG[1].setting, "0.500", "–", "28"]
    assert rows == [["run", "packed", "0.600", "30", "28.8"], ["run", "prior", "0.200", "30", "–"], smallest]
    ours, jpeg = lines({"run": OURS}, {"JPEG": JPEG}, "PSNR", 1.5)
    assert ours.points == [(0.2, 30.0)] and jpeg.points == [(0.5, 28.0), (1.0, 32.0)]


def test_a_compressor_that_one_model_lacks_is_a_dash() -> None:
    columns, rows = bits_table({"a": {"packed": 9.0, "zlib": 8.25}, "b": {"packed": 9.0, "prior": 6.5}})
    assert columns == ["model", "packed", "zlib", "prior"] and rows == [["a", "9.000", "8.250", "–"], ["b", "9.000", "–", "6.500"]]
