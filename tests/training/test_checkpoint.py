"""Checkpoints."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny
from vqvae import disk, storage
from vqvae.errors import CheckpointError, ConfigError
from vqvae.storage import RunCard
from vqvae.training import AdamConfig, Average, Checkpoints
from vqvae.training.checkpoint import Best, Learner, Progress, check_run_folder, only_writer


def learner(seed: int, averaged: bool = True, memory_format: torch.memory_format = torch.channels_last) -> Learner:
    """A learner after two steps."""
    torch.manual_seed(seed)
    module = tiny.model(revive_after=0).build().to(memory_format=memory_format)
    optimizer = AdamConfig().build(module)
    average = Average(module, 0.5) if averaged else None
    for step in range(2):
        module(tiny.Noise(8, step).batch(torch.arange(8).numpy())).loss.backward()
        optimizer.step(optimizer.norm(), step, 9)
        if average is not None:
            average.update(module, step)
    return Learner(module, (optimizer,), average)


def tensors(which: Learner) -> dict[str, torch.Tensor]:
    state = {
        f"optimizer.{n}.{k}": v for n, p in which.module.named_parameters() for k, v in which.optimizers[0].owners()[p].state[p].items()
    }
    average = {} if which.average is None else {f"average.{n}": v for n, v in which.average.module.state_dict().items()}
    return {**which.module.state_dict(), **state, **average}


@pytest.mark.parametrize("averaged", [True, False])
def test_a_learner_comes_back_with_its_memory_layout(tmp_path: Path, averaged: bool) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    saved, other = learner(0, averaged), learner(1, averaged)
    state = Progress(2, 12.5, Best(1, 0.75), {"kind": "TrainConfig", "steps": 9})
    checkpoints.save(saved, state, RunCard(recipe="tiny"))
    assert checkpoints.latest() == state
    checkpoints.restore(other, 2)
    mine, yours = tensors(saved), tensors(other)
    assert mine.keys() == yours.keys()
    for name, value in mine.items():
        assert torch.equal(value, yours[name]) and value.stride() == yours[name].stride(), name
    # The fused optimizer reads memory in order: the next step tells whether all of it lies where it did.
    for which in (saved, other):
        torch.manual_seed(0)
        which.module(tiny.Noise(8, 9).batch(torch.arange(8).numpy())).loss.backward()
        which.optimizers[0].step(which.optimizers[0].norm(), 2, 9)
    assert all(torch.equal(value, tensors(other)[name]) for name, value in tensors(saved).items())


def test_a_checkpoint_is_a_stored_part_as_it_is_evaluated(tmp_path: Path) -> None:
    saved = learner(0)
    Checkpoints(tmp_path, keep_last=1).save(saved, Progress(2, 0.0, None, {}), RunCard(recipe="tiny"))
    part = storage.load(tmp_path / "step-000002")
    assert all(torch.equal(value, part.state_dict()[name]) for name, value in saved.average.module.state_dict().items())
    assert storage.read(tmp_path / "step-000002").card == RunCard(recipe="tiny").with_version()


def test_the_best_and_the_last_are_kept(tmp_path: Path) -> None:
    checkpoints, saved = Checkpoints(tmp_path, keep_last=2), learner(0)
    for step, best in ((5, 5), (10, 10), (15, 10), (20, 10), (1000000, 10)):
        checkpoints.save(saved, Progress(step, 0.0, Best(best, 0.5), {}), RunCard())
    assert checkpoints.steps() == [10, 20, 1000000]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-000010", "step-000020", "step-1000000"]
    assert checkpoints.latest().step == 1000000
    checkpoints.save(saved, Progress(1000001, 0.0, Best(1000001, 0.4), {}), RunCard())
    assert checkpoints.steps() == [1000000, 1000001]


def test_what_a_killed_process_left_is_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    assert checkpoints.latest() is None and checkpoints.steps() == []
    checkpoints.save(learner(0), Progress(2, 0.0, None, {}), RunCard())
    half = tmp_path / disk.TEMPORARY / ("0" * 16) / "new" / "step-000004"
    half.mkdir(parents=True)
    (half / "weights.safetensors").write_text("half")
    assert checkpoints.steps() == [2]
    disk.clean(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-000002"]


@pytest.mark.parametrize("name", ["weights.safetensors", "unaveraged.safetensors", "optimizer.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_damaged_files_are_named(tmp_path: Path, name: str, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    checkpoints.save(learner(0), Progress(2, 0.0, None, {}), RunCard())
    path = tmp_path / "step-000002" / name
    path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match=f"step-000002/{name} is {'missing' if damage == 'missing' else 'damaged'}"):
        checkpoints.latest()
        checkpoints.restore(learner(1), 2)


def test_a_state_without_its_fields_is_damaged(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    checkpoints.save(learner(0), Progress(2, 0.0, None, {}), RunCard())
    path = tmp_path / "step-000002" / "state.json"
    path.write_text(json.dumps({"format_version": 1, "step": 2, "best": 3}))
    with pytest.raises(CheckpointError, match="state.json is damaged"):
        checkpoints.latest()


def test_an_optimizer_of_another_model_is_refused(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=2)
    checkpoints.save(learner(0), Progress(2, 0.0, None, {}), RunCard())
    path = tmp_path / "step-000002" / "optimizer.safetensors"
    stored = storage.read_tensors(path)
    name = next(name for name in stored if name.endswith("exp_avg"))
    storage.write_tensors({**stored, name: torch.zeros(7)}, path)
    with pytest.raises(CheckpointError, match=r"optimizer.safetensors does not fit the model: .*exp_avg is float32\[7\], expected"):
        checkpoints.restore(learner(1), 2)


def test_a_run_has_one_writer_at_a_time(tmp_path: Path) -> None:
    ready, leave = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        with only_writer(tmp_path / "run"):
            os.write(ready[1], b"x")
            os.read(leave[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    try:
        with pytest.raises(CheckpointError, match="Another process trains in .*run"), only_writer(tmp_path / "run"):
            pass
    finally:
        os.write(leave[1], b"x")
        os.waitpid(child, 0)
    with only_writer(tmp_path / "run"):
        pass


def test_a_run_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="file/run cannot be written"), only_writer(tmp_path / "file" / "run"):
        pass


def test_a_run_folder_is_new_empty_or_holds_a_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    check_run_folder(run)
    run.mkdir()
    check_run_folder(run)
    for name in (".notes.tmp", "thesis.tex", "checkpoints/last.ckpt", "metrics.json", "tokenizer/config.json"):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).write_text("years of work")
        with pytest.raises(ConfigError, match="run contains .* and is not a run. Choose another folder"):
            check_run_folder(run)
    with only_writer(run):
        check_run_folder(run)
    check_run_folder(run)
    with pytest.raises(ConfigError, match="thesis.tex cannot be a run folder"):
        check_run_folder(run / "thesis.tex")


def test_a_copy_of_a_run_without_hidden_files_holds_a_run(tmp_path: Path) -> None:
    saved = learner(0)
    Checkpoints(tmp_path / "a" / "checkpoints" / "prior", keep_last=1).save(saved, Progress(2, 0.0, None, {}), RunCard())
    storage.save(saved.module, tmp_path / "b" / "tokenizer")
    for name in "ab":
        (tmp_path / name / "notes").write_text("mine")
        check_run_folder(tmp_path / name)


@pytest.mark.parametrize(
    ("entry", "change", "message"),
    [
        ("exp_avg", lambda value: torch.zeros(()), r"exp_avg is float32\[\], expected float32\["),
        ("exp_avg", lambda value: value.half(), "exp_avg is float16"),
        ("exp_avg_sq", lambda value: value.double(), "exp_avg_sq is float64"),
        ("step", lambda value: torch.zeros(3), r"step is float32\[3\], expected float32\[\]"),
        ("step", lambda value: value.long(), "step is int64"),
        ("exp_avg", None, r"\['exp_avg'\] of .* are missing"),
    ],
)
def test_moments_of_other_shapes_or_types_are_refused(tmp_path: Path, entry: str, change: Any, message: str) -> None:
    checkpoints, saved = Checkpoints(tmp_path, keep_last=1), learner(0)
    checkpoints.save(saved, Progress(2, 0.0, None, {}), RunCard())
    file = checkpoints.path(2) / "optimizer.safetensors"
    stored = storage.read_tensors(file)
    key = next(key for key, value in stored.items() if key.endswith(f"/{entry}"))
    value = stored.pop(key)
    storage.write_tensors(stored if change is None else {**stored, key: change(value)}, file)
    with pytest.raises(CheckpointError, match=message):
        checkpoints.restore(saved, 2)


@pytest.mark.parametrize(
    ("field", "value"), [("step", float("inf")), ("step", "5"), ("step", True), ("seconds", 10**400), ("best", 3), ("training", [])]
)
def test_a_state_of_other_types_is_damaged(tmp_path: Path, field: str, value: object) -> None:
    checkpoints = Checkpoints(tmp_path, keep_last=1)
    checkpoints.save(learner(0), Progress(2, 0.0, None, {}), RunCard())
    file = checkpoints.path(2) / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), field: value}))
    with pytest.raises(CheckpointError, match=r"state\.json is damaged"):
        checkpoints.latest()


def test_the_lock_of_a_run_is_taken_once_in_a_context(tmp_path: Path) -> None:
    with only_writer(tmp_path), only_writer(tmp_path):
        refused = []

        def other() -> None:
            try:
                with only_writer(tmp_path):
                    pass
            except CheckpointError as error:
                refused.append(str(error))

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1 and "Another process trains in" in refused[0]
    with only_writer(tmp_path):
        assert (tmp_path / ".lock").is_file()
