"""Several runs side by side."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.training import tiny
from vqvae.errors import ConfigError
from vqvae.media.images import write_png
from vqvae.pipeline import Pipeline, save
from vqvae.runs.comparison import compare, table, write_comparison
from vqvae.storage import RunCard


def scored(run: Path, psnr: float, data: str = "held out") -> Path:
    save(Pipeline(tiny.model().build(), card=RunCard(held_out_data=data)), run)
    (run / "metrics.json").write_text(json.dumps({"psnr": psnr, "bits_per_dim_learned": None}))
    write_png(run / "reconstructions.png", np.zeros((4, 6, 3), np.uint8))
    return run


def test_scores_stand_in_columns_and_pictures_side_by_side(tmp_path: Path) -> None:
    runs = [scored(tmp_path / name, psnr) for name, psnr in (("one", 20.5), ("two", 21.25))]
    found = compare(runs)
    assert table(found).splitlines() == ["Score  one       two", "PSNR   20.50 dB  21.25 dB"]
    write_comparison(tmp_path / "page.html", found)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<img") == 2 and "Reconstructions, two" in page and "<b>21.25 dB</b>" in page


def test_other_data_is_said_and_one_run_is_refused(tmp_path: Path) -> None:
    runs = [scored(tmp_path / "a" / "run", 20), scored(tmp_path / "b" / "run", 21, "others")]
    found = compare(runs)
    assert "different held-out data" in table(found)
    assert [one.name for one in found] == [str(run) for run in runs], "names that are alike are told apart"
    with pytest.raises(ConfigError, match="two or more"):
        compare(runs[:1])
    with pytest.raises(ConfigError, match="twice"):
        compare([runs[0], runs[0]])


def test_a_run_without_scores_says_how_to_get_them(tmp_path: Path) -> None:
    one, two = scored(tmp_path / "one", 20), scored(tmp_path / "two", 21)
    (two / "metrics.json").write_text(json.dumps({"seconds_by_stage": {"tokenizer": 3.0}, "seconds": 3.0}))
    found = compare([one, two])
    assert [run.is_scored for run in found] == [True, False]
    assert f"two has no scores yet. To score it: vqvae evaluate {two}" in table(found)
    write_comparison(tmp_path / "page.html", found)
    assert "two has no scores yet" in (tmp_path / "page.html").read_text()
