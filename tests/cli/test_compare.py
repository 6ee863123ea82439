"""``vqvae compare``."""

from pathlib import Path

import pytest

from tests.runs.test_comparison import scored
from vqvae.cli.main import main


def test_a_table_is_printed_and_a_page_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(scored(tmp_path / name, psnr)) for name, psnr in (("one", 20.5), ("two", 21.25))]
    page = tmp_path / "page.html"
    assert main(["compare", *runs, "--out", str(page)]) == 0
    assert "PSNR   20.50 dB  21.25 dB" in capsys.readouterr().out
    assert "<table" in page.read_text()
    assert main(["compare", *runs, "--out", str(page)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main(["compare", *runs, "--out", str(page), "--overwrite", "--json"]) == 0
    assert '"psnr": 21.25' in capsys.readouterr().out
