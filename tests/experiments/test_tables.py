"""The numbers of a run as a table."""

import json
from pathlib import Path

from tests.experiments.small import OPTIONS
from tests.training import tiny
from vqvae.data import SyntheticImagesConfig
from vqvae.experiments.tables import tabulate
from vqvae.runs.folder import read_metrics
from vqvae.runs.stages import train_tokenizer


def test_numbers_pictures_and_what_is_published_stand_together(tmp_path: Path) -> None:
    run, results = tmp_path / "run", tmp_path / "results"
    train_tokenizer(tiny.settings(data=SyntheticImagesConfig(count=40, size=8), steps=2), OPTIONS, run, recipe="tiny")
    record = tabulate(run, results, "toy", "A toy", published={"psnr": "31", "unknown": "5"}, extra={"more": 1.25})
    assert record == json.loads((results / "toy.json").read_text())
    assert (record["steps"], record["more"], record["psnr"]) == (2, 1.25, read_metrics(run)["psnr"])
    assert record["seconds"] == read_metrics(run)["seconds"] and record["published"] == {"psnr": "31", "unknown": "5"}
    table = (results / "toy.md").read_text()
    rows = {cells[1].strip(): [cell.strip() for cell in cells[2:4]] for line in table.splitlines() if len(cells := line.split("|")) == 5}
    assert rows["psnr"] == ["31", f"{record['psnr']:.4g}"] and rows["unknown"] == ["5", "–"] and rows["more"] == ["", "1.25"]
    assert "toy-reconstructions.png" in table and "samples" not in rows
    assert (results / "toy-reconstructions.png").read_bytes() == (run / "reconstructions.png").read_bytes()
