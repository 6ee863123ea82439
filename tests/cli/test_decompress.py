"""``vqvae decompress``."""

from pathlib import Path

import pytest

from tests.cli.test_compress import RUN, SPEECH, picture  # noqa: F401
from vqvae.cli.main import main
from vqvae.media.images import read_image


@pytest.fixture
def compressed(picture: Path) -> Path:  # noqa: F811
    assert main(["compress", str(RUN), str(picture), "--out", str(picture.parent / "small"), "--mode", "packed"]) == 0
    return picture.parent / "small" / "cat.vqz"


def test_the_files_come_back(compressed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["decompress", str(RUN), str(compressed), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert read_image(tmp_path / "out" / "cat.png").shape == (3, 11, 14)
    assert main(arguments) == 1 and "--overwrite" in capsys.readouterr().err


def test_wrong_files_leave_nothing(compressed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = compressed.read_bytes()
    for number, (content, words) in enumerate(
        [(data[:-1], "truncated"), (data[:-6] + b"xx" + data[-4:], "damaged"), (b"", "not a compressed file"), (data + b"x", "continues")]
    ):
        bad = tmp_path / f"{number}.vqz"
        bad.write_bytes(content)
        # The good file is not written either.
        assert main(["decompress", str(RUN), str(compressed), str(bad), "--out", str(tmp_path / "out")]) == 1
        assert words in capsys.readouterr().err
    assert main(["decompress", str(SPEECH), str(compressed), "--out", str(tmp_path / "out"), "--speaker", "one"]) == 1
    assert "vqvae info RUN" in capsys.readouterr().err
    assert main(["decompress", str(RUN), str(tmp_path / "none.vqz"), "--out", str(tmp_path / "out")]) == 1
    assert "none.vqz" in capsys.readouterr().err
    assert main(["decompress", str(RUN), "--out", str(tmp_path / "out")]) == 1
    assert not list(tmp_path.glob("out/*"))
