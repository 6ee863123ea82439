"""A run that is served."""

import asyncio
from pathlib import Path

import pytest
import torch

from tests.serving.conftest import OPTIONS
from vqvae.codes import Codes
from vqvae.errors import CheckpointError, ConfigError, DataError
from vqvae.serving.served import Served, load_all


def test_what_a_model_can_follows_from_its_parts(models: dict[str, Served]) -> None:
    can = {name: model.about()["can"] for name, model in models.items()}
    assert can["photos"]["sample"] and can["photos"]["complete"] and not can["photos"]["convert"] and not can["photos"]["play"]
    assert can["voices"]["convert"] and not can["voices"]["sample"]
    assert can["worlds"]["imagine"] and can["worlds"]["play"] and not can["worlds"]["sample"]


def test_a_model_names_its_voices_and_actions(models: dict[str, Served]) -> None:
    assert models["voices"].about()["voices"] == ["ann", "bob"] and models["photos"].about()["voices"] is None
    assert models["worlds"].action_names == ("left", "right") and models["photos"].action_names == ()


def test_limits_are_in_positions_of_data(models: dict[str, Served]) -> None:
    assert models["photos"].most_positions == OPTIONS.most_pixels
    assert models["voices"].most_positions == int(OPTIONS.most_seconds * 2000)


def test_a_size_must_fit_the_codes(models: dict[str, Served]) -> None:
    photos = models["photos"]
    stride = photos.model.layout[0].stride
    codes = Codes([torch.zeros(1, photos.model.layout[0].num_codebooks, 2, 2, dtype=torch.int64)])
    size = [2 * stride[0], 2 * stride[1]]
    assert photos.size_of(codes, size) == tuple(size) and photos.size_of(codes, None) is None
    with pytest.raises(DataError, match="do not fit"):
        photos.size_of(codes, [2 * stride[0] + 1, 2 * stride[1]])


def test_runs_are_named_by_their_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No run was given"):
        load_all([], torch.device("cpu"), OPTIONS, lambda model, kind, count: None)
    with pytest.raises(CheckpointError, match="no trained tokenizer"):
        load_all([tmp_path], torch.device("cpu"), OPTIONS, lambda model, kind, count: None)


@pytest.mark.parametrize(("threads", "count", "each"), [(5, 2, 2), (1, 2, 1), (3, 1, 3)])
def test_models_share_the_threads(runs: list[Path], threads: int, count: int, each: int) -> None:
    before = torch.get_num_threads()
    found = load_all(runs[:count], torch.device("cpu"), OPTIONS, lambda model, kind, together: None, threads)
    try:
        assert [asyncio.run(one.worker.alone("k", torch.get_num_threads)) for one in found.values()] == [each] * count
    finally:
        for one in found.values():
            one.close()
        torch.set_num_threads(before)


def test_a_model_that_cannot_be_tried_is_ready_all_the_same_and_the_log_says_why(
    models: dict[str, Served], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    photos = models["photos"]
    monkeypatch.setattr(photos, "is_warm", False)
    monkeypatch.setattr(photos.model, "reconstruct", fail)
    photos._try_all(photos.model)
    assert photos.is_warm and "no memory" in caplog.text
