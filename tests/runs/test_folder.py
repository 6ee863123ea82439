"""What a run folder holds beside its parts."""

from pathlib import Path

import pytest

from vqvae.data import ArrayConfig, AudioFolderConfig, ImageFolderConfig, SyntheticImagesConfig, WorldsConfig
from vqvae.errors import CheckpointError, ConfigError
from vqvae.runs import folder
from vqvae.runs.folder import bounded, read_metrics, read_rows, trained_seconds, update_metrics

DATA = SyntheticImagesConfig(count=60, size=8, classes=3)


def test_metrics_are_added_to_and_summed(tmp_path: Path) -> None:
    update_metrics(tmp_path, {"a": 1, "seconds_by_stage": {"x": 2.0, "y": 0.5}})
    update_metrics(tmp_path, {"a": 2})
    assert read_metrics(tmp_path) == {"a": 2, "seconds_by_stage": {"x": 2.0, "y": 0.5}, "seconds": 2.5}


@pytest.mark.parametrize("damage", ['{"psnr": 3', "[]", '{"seconds_by_stage": 3}', "[" * 100_000])
def test_damaged_metrics_are_named(tmp_path: Path, damage: str) -> None:
    assert read_metrics(tmp_path) == {}
    (tmp_path / "metrics.json").write_text(damage)
    with pytest.raises(CheckpointError, match="metrics.json is damaged.*vqvae evaluate"):
        read_metrics(tmp_path)


def test_half_a_row_is_no_error(tmp_path: Path) -> None:
    rows = ['{"step": 1, "stage": "prior", "seconds": 2.5}', '{"step": 2, "stage": "prior"}', '{"step": 3, "sta']
    (tmp_path / "metrics.jsonl").write_text("\n".join(rows))
    assert trained_seconds(tmp_path, "prior") == 2.5 and len(read_rows(tmp_path)) == 2


def test_a_strangers_run_does_not_say_where_data_is_kept(tmp_path: Path) -> None:
    kept = AudioFolderConfig(path="here", cache=str(tmp_path / "cache")), WorldsConfig(path=str(tmp_path / "cache"))
    assert [folder.kept_here(data) for data in kept] == [AudioFolderConfig(path="here"), WorldsConfig()]
    for name in ("recordings.json", "frames.npy"):
        (tmp_path / "cache" / name[:3]).mkdir(parents=True)
        (tmp_path / "cache" / name[:3] / name).write_text("")
    assert [folder.kept_here(data) for data in kept] == [*kept]
    assert folder.kept_here(DATA) == DATA


def test_metrics_that_never_end_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").symlink_to("/dev/zero")
    (tmp_path / "metrics.jsonl").symlink_to("/dev/zero")
    for read in (read_metrics, read_rows):
        with pytest.raises(CheckpointError, match="cannot be read .*not a plain file"):
            read(tmp_path)


def test_bounds_belong_to_data_of_floats() -> None:
    assert bounded(ImageFolderConfig(path="x", size=4), (0.0, 1.0)).bounds == (0, 1)
    arrays = bounded(ArrayConfig(path="x"), (0.0, 2.0))
    assert (arrays.low, arrays.high) == (0, 2)
    with pytest.raises(ConfigError, match="takes no bounds"):
        bounded(SyntheticImagesConfig(count=3, size=8), (0.0, 1.0))
