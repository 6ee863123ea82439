"""The checkpoints that can stand for a finished part."""

from pathlib import Path

import pytest

from vqvae import storage
from vqvae.errors import CheckpointError, ConfigError
from vqvae.pipeline import best_step, checkpoint_steps, chosen_checkpoint, part_of


def make(folder: Path, best: object = None) -> None:
    folder.mkdir(parents=True)
    storage.write_json({"step": 1, "best": best}, folder / "state.json")


def test_checkpoints_are_found_by_step_and_the_best_by_its_loss(tmp_path: Path) -> None:
    assert checkpoint_steps(tmp_path) == {} and best_step(tmp_path) is None
    make(tmp_path / "checkpoints" / "step-000900")
    make(tmp_path / "checkpoints" / "step-001000", {"step": 900, "held_out_loss": 0.5})
    make(tmp_path / "checkpoints" / "prior" / "step-000007")
    (tmp_path / "checkpoints" / "step-x").mkdir()
    assert list(checkpoint_steps(tmp_path)) == [900, 1000] and list(checkpoint_steps(tmp_path, "prior")) == [7]
    assert best_step(tmp_path) == 900 and best_step(tmp_path, "prior") is None
    assert chosen_checkpoint(tmp_path, "best") == chosen_checkpoint(tmp_path, 900) == chosen_checkpoint(tmp_path, "900")
    assert part_of(tmp_path, tmp_path / "tokenizer") == tmp_path / "checkpoints" / "step-001000"


@pytest.mark.parametrize("which", ["5", 5, "best"])
def test_a_missing_checkpoint_is_named_with_those_that_exist(tmp_path: Path, which: str | int) -> None:
    make(tmp_path / "checkpoints" / "step-000900", {"step": 800})
    with pytest.raises(CheckpointError, match="It has the steps: 900"):
        chosen_checkpoint(tmp_path, which)


@pytest.mark.parametrize("which", ["last", "9" * 5000])
def test_a_word_that_names_no_checkpoint(tmp_path: Path, which: str) -> None:
    with pytest.raises(ConfigError, match="must be 'best' or a step, such as 1000"):
        chosen_checkpoint(tmp_path, which)


@pytest.mark.parametrize("which", [True, "9" * 5000, ""])
def test_what_is_no_checkpoint_is_an_error(tmp_path: Path, which: str | int) -> None:
    with pytest.raises(ConfigError, match=r"^The checkpoint is .{1,70}; it must be 'best' or a step"):
        chosen_checkpoint(tmp_path, which)
