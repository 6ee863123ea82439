"""The training loop."""

import dataclasses
import errno
import json
import math
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training import adversary, tiny
from vqvae import config as configuration
from vqvae import storage
from vqvae.data.base import Batch, Condition, Objective
from vqvae.errors import CheckpointError, ConfigError, DataError, VqvaeError
from vqvae.models import VQVAE, FrameTokenizerConfig
from vqvae.storage import RunCard
from vqvae.training import Interrupted, build
from vqvae.training.resuming import start_from


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """A module that is not a tokenizer."""

    def build(self) -> "Toy":
        return Toy()


class Toy(nn.Module):
    """The loss is one weight, plus noise; ``spoil(loss, call)`` may change it while training."""

    def __init__(self, spoil: Callable | None = None) -> None:
        super().__init__()
        self.config, self.spoil, self.calls = ToyConfig(), spoil, 0
        self.weight = nn.Parameter(torch.ones(3))
        self.modes: list[tuple[bool, bool]] = []

    def forward(self, batch: Batch) -> Objective:
        self.modes.append((self.training, torch.is_grad_enabled()))
        loss = self.weight.sum() + torch.rand(())
        if self.training and self.spoil:
            self.calls += 1
            loss = self.spoil(loss, self.calls)
        return Objective(loss, {"examples": torch.tensor(float(len(batch.x)))})


@dataclass
class Signals:
    """A callback that sends signals to this process between the sixth step and the seventh."""

    numbers: tuple[int, ...]
    every: int = 6

    def __call__(self, step: int, module: nn.Module, folder: Path) -> dict:
        for number in self.numbers if step == self.every else ():
            os.kill(os.getpid(), number)
        return {}


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    "changes",
    [{}, {"average_decay": 0.0}, {"precision": "bfloat16"}, {"accumulate": 2}],
    ids=["averaged", "plain", "bfloat16", "accumulated"],
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_saves_and_then_ends_like_an_unbroken_one(tmp_path: Path, changes: dict, number: int) -> None:
    config = tiny.settings(**changes)
    tiny.trainer(tmp_path / "whole", config).run()
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match="after step 7") as caught:
        tiny.trainer(tmp_path / "broken", config, callbacks=[Signals((number,))]).run()
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) == before
    assert (tmp_path / "broken/checkpoints/step-000007/state.json").exists()
    assert not (tmp_path / "broken/tokenizer").exists()
    tiny.trainer(tmp_path / "broken", config).run()
    assert tiny.contents(tmp_path / "broken") == tiny.contents(tmp_path / "whole")
    assert [(r["step"], "loss" in r) for r in rows(tmp_path / "broken")] == [(r["step"], "loss" in r) for r in rows(tmp_path / "whole")]


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        tiny.trainer(tmp_path, tiny.settings(), callbacks=[Signals((signal.SIGINT, signal.SIGINT))]).run()
    assert not (tmp_path / "checkpoints/step-000007").exists()


def test_another_seed_gives_other_weights_and_the_same_seed_the_same(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny.trainer(tmp_path / name, tiny.settings(seed=seed)).run()
    assert tiny.contents(tmp_path / "a") == tiny.contents(tmp_path / "b") != tiny.contents(tmp_path / "c")


def test_a_finished_run_is_only_loaded(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    class Unreadable(tiny.Noise):
        def batch(self, indices: np.ndarray) -> Batch:
            raise AssertionError("read")

    first = tiny.trainer(tmp_path, tiny.settings(), card=RunCard(recipe="tiny")).run()
    written = tiny.contents(tmp_path), rows(tmp_path)
    capsys.readouterr()
    again = tiny.trainer(tmp_path, tiny.settings(), tiny.splits(Unreadable(44, 0), Unreadable(20, 1)), card=RunCard(recipe="tiny")).run()
    assert "finished" in capsys.readouterr().err
    assert (tiny.contents(tmp_path), rows(tmp_path)) == written
    assert isinstance(again, VQVAE) and not again.training
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    card = storage.read(tmp_path / "tokenizer").card
    assert (card.recipe, card.data, card.held_out_data, card.label_names) == ("tiny", "noise", "noise", ("even", "odd"))
    assert card.signal == tiny.Noise.signal and card.training == configuration.to_json(tiny.settings())
    assert {"step": 12, "stage": "tokenizer", **card.metrics}.items() <= rows(tmp_path)[-1].items() and "held_out_loss" in card.metrics


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_in_the_same_folder_are_refused_by_name(tmp_path: Path, finished: bool) -> None:
    callbacks = [] if finished else [Signals((signal.SIGTERM,))]
    try:
        tiny.trainer(tmp_path, tiny.settings(), callbacks=callbacks).run()
    except Interrupted:
        assert not finished
    before = tiny.contents(tmp_path)
    with pytest.raises(ConfigError) as caught:
        tiny.trainer(tmp_path, tiny.settings(seed=3, model=tiny.model(codebook_size=9))).run()
    assert "config.seed: 0 -> 3" in str(caught.value)
    assert "config.model.quantizer.codebook_size: 8 -> 9" in str(caught.value)
    assert "batch_size" not in str(caught.value)
    assert tiny.contents(tmp_path) == before


def test_more_steps_go_on_and_resume_exactly(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """A finished run takes more steps with its optimizer and codebooks; a stop on the way changes nothing."""
    for name in ("whole", "broken"):
        tiny.trainer(tmp_path / name, tiny.settings()).run()
    tiny.trainer(tmp_path / "whole", tiny.settings(steps=20)).run()
    assert "Training goes on to 20 instead of the planned 12. The cosine schedule is stretched" in capsys.readouterr().err
    with pytest.raises(Interrupted):
        tiny.trainer(tmp_path / "broken", tiny.settings(steps=20), callbacks=[Signals((signal.SIGTERM,), every=13)]).run()
    tiny.trainer(tmp_path / "broken", tiny.settings(steps=20)).run()
    assert tiny.contents(tmp_path / "broken") == tiny.contents(tmp_path / "whole")
    assert storage.read(tmp_path / "whole" / "tokenizer").card.training["steps"] == 20
    with pytest.raises(ConfigError, match="already taken 20 steps"):
        tiny.trainer(tmp_path / "whole", tiny.settings(steps=12)).run()


def test_minutes_become_no_more_steps_than_help(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("vqvae.training.estimate.Plan.steps", lambda plan, speed, budget: 9)
    tiny.trainer(tmp_path, tiny.settings(steps=4, minutes=0.01, most_steps=5)).run()
    assert "0.01 minutes would be 9 steps. Only 5 are taken" in capsys.readouterr().err
    assert storage.read(tmp_path / "tokenizer").card.training["steps"] == 5


def test_minutes_become_steps_that_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    """A stop changes nothing, though the second measurement would give other steps."""
    monkeypatch.setattr("vqvae.training.estimate.Plan.steps", lambda plan, speed, budget: 9)
    tiny.trainer(tmp_path / "whole", tiny.settings(steps=9)).run()
    with pytest.raises(Interrupted):
        tiny.trainer(tmp_path / "timed", tiny.settings(steps=4, minutes=0.01), callbacks=[Signals((signal.SIGTERM,))]).run()
    assert "0.01 minutes are 9 steps" in capsys.readouterr().err
    monkeypatch.setattr("vqvae.training.estimate.Plan.steps", lambda plan, speed, budget: 30)
    tiny.trainer(tmp_path / "timed", tiny.settings(steps=4, minutes=0.01)).run()
    assert tiny.contents(tmp_path / "timed") == tiny.contents(tmp_path / "whole")
    tiny.trainer(tmp_path / "timed", tiny.settings(steps=4, minutes=0.01)).run()
    assert "is finished" in capsys.readouterr().err
    tiny.trainer(tmp_path / "timed", tiny.settings(steps=4, minutes=1.0)).run()
    assert storage.read(tmp_path / "timed" / "tokenizer").card.training["steps"] == 39, "more minutes are more steps"


def test_an_estimate_comes_before_the_training(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    tiny.trainer(tmp_path, tiny.settings(), estimate=True).run()
    said = capsys.readouterr().err
    assert "s for 12 steps." in said and said.index("for 12 steps") < said.index("step 2/12")


def test_data_that_fails_in_the_middle_costs_no_step(tmp_path: Path) -> None:
    class Vanishing(tiny.Noise):
        calls = 0

        def batch(self, indices: np.ndarray) -> Batch:
            self.calls += 1
            if self.calls > 11:  # After the start of the codebooks and some steps.
                raise DataError("gone")
            return super().batch(indices)

    with pytest.raises(DataError, match="gone"):
        tiny.trainer(tmp_path / "broken", tiny.settings(evaluate_every=0), tiny.splits(Vanishing(44, 0)), checkpoint_every=0).run()
    assert list((tmp_path / "broken" / "checkpoints").glob("step-*")), "what was learned is kept"
    for name in ("broken", "whole"):
        tiny.trainer(tmp_path / name, tiny.settings(evaluate_every=0), checkpoint_every=0).run()
    weights = [(tmp_path / name / "tokenizer" / "weights.safetensors").read_bytes() for name in ("broken", "whole")]
    assert weights[0] == weights[1]


def test_changed_data_is_said(tmp_path: Path) -> None:
    tiny.trainer(tmp_path, tiny.settings()).run()
    changed = tiny.splits()
    changed.train.name = "others"
    with pytest.raises(ConfigError, match="training data: noise -> others"):
        tiny.trainer(tmp_path, tiny.settings(), changed).run()


def test_a_setting_that_came_since_does_not_part_a_run_from_its_folder(tmp_path: Path) -> None:
    first = tiny.trainer(tmp_path, tiny.settings()).run()
    kept = tmp_path / "tokenizer" / "config.json"
    stored = json.loads(kept.read_text())
    for tree in (stored["config"], stored["card"]["training"]["model"]):
        assert tree.pop("rated") is False
    kept.write_text(json.dumps(stored))
    again = tiny.trainer(tmp_path, tiny.settings()).run()
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    with pytest.raises(ConfigError, match="config.model.rated: False -> True"):
        tiny.trainer(tmp_path, tiny.settings(model=dataclasses.replace(tiny.model(), rated=True))).run()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_given_lies_in_memory_as_in_training(tmp_path: Path, precision: str) -> None:
    for _ in ("trained", "loaded"):
        trained = tiny.trainer(tmp_path, tiny.settings(precision=precision, steps=4)).run()
        filters = [weight for weight in trained.parameters() if weight.ndim == 4 and min(weight.shape[1:]) > 1]
        assert len(filters) > 2
        assert all(weight.is_contiguous(memory_format=torch.channels_last) == (precision == "bfloat16") for weight in filters)


def test_a_part_that_was_not_trained_here_is_not_replaced(tmp_path: Path) -> None:
    storage.save(build(tiny.settings()), tmp_path / "tokenizer")
    with pytest.raises(ConfigError, match="has no training settings"):
        tiny.trainer(tmp_path, tiny.settings()).run()


def test_stages_of_a_run_keep_to_themselves(tmp_path: Path) -> None:
    config = tiny.settings(steps=2)
    tiny.trainer(tmp_path, config).run()
    tiny.trainer(tmp_path, config, stage="prior").run()
    assert (tmp_path / "checkpoints/step-000002").is_dir() and (tmp_path / "checkpoints/prior/step-000002").is_dir()
    assert (tmp_path / "prior/weights.safetensors").read_bytes() == (tmp_path / "tokenizer/weights.safetensors").read_bytes()
    assert {row["stage"] for row in rows(tmp_path)} == {"tokenizer", "prior"}


def test_accumulation_learns_what_whole_batches_teach(tmp_path: Path) -> None:
    model = tiny.model(revive_after=0)
    whole = tiny.trainer(tmp_path / "a", tiny.settings(model=model)).run().state_dict()
    parts = tiny.trainer(tmp_path / "b", tiny.settings(model=model, accumulate=4)).run().state_dict()
    for name, value in whole.items():
        # Sums in another order: float32 rounding, over 12 steps of Adam.
        torch.testing.assert_close(parts[name], value, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_accumulation_keeps_labels_and_masks_with_their_examples() -> None:
    x = torch.arange(6)[:, None, None].expand(6, 1, 2)
    condition = Condition(label=torch.arange(6), actions=torch.arange(6)[:, None], codes=(x, x + 10))
    parts = Batch(x, condition, torch.arange(6)[:, None] % 2 == 0).split(3)
    assert [len(part.x) for part in parts] == [2, 2, 2]
    for part in parts:
        first = part.x[:, 0, 0]
        assert torch.equal(part.condition.label, first) and torch.equal(part.condition.actions[:, 0], first)
        assert torch.equal(part.condition.codes[1][:, 0, 0], first + 10)
        assert torch.equal(part.mask[:, 0], first % 2 == 0)


@pytest.mark.parametrize(
    "spoil",
    [lambda loss, call: loss * (math.nan if call == 5 else 1), lambda loss, call: loss + ((loss - loss) ** 0.5 if call == 5 else 0)],
    ids=["loss", "gradient"],
)
def test_what_is_not_finite_stops_the_run_before_it_reaches_the_weights(tmp_path: Path, spoil: Callable) -> None:
    toy = Toy(spoil)
    trainer = tiny.trainer(tmp_path, tiny.settings(model=ToyConfig(), average_decay=0.0), module=toy, checkpoint_every=4)
    with pytest.raises(VqvaeError, match="At step 4 .*step-000004.*learning_rate"):
        trainer.run()
    stored = storage.read_tensors(tmp_path / "checkpoints/step-000004/weights.safetensors")["weight"]
    assert torch.isfinite(stored).all() and torch.equal(stored, toy.weight)


def test_gradients_are_clipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    toy = Toy(lambda loss, call: 100 * loss)
    trainer = tiny.trainer(tmp_path, tiny.settings(model=ToyConfig(), steps=2), module=toy, log_every=1)
    take = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self: (seen.append(float(toy.weight.grad.norm())), take(self))[1])
    trainer.run()
    assert seen == pytest.approx([1.0, 1.0], rel=1e-4)
    assert [row["gradient_norm"] for row in rows(tmp_path) if "loss" in row] == pytest.approx([100 * math.sqrt(3)] * 2, rel=1e-4)


def test_evaluation_comes_on_schedule_over_a_fixed_part_with_fixed_noise(tmp_path: Path) -> None:
    class Recorded(tiny.Noise):
        read: list[list[int]]

        def batch(self, indices: np.ndarray) -> Batch:
            self.read.append(indices.tolist())
            return super().batch(indices)

    held_out = Recorded(3000, 1)
    held_out.read = []
    toy = Toy(lambda loss, call: loss * 0)  # Nothing is learned, so only the noise could change the scores.
    changes = {"steps": 7, "evaluate_every": 3, "batch_size": 500, "average_decay": 0.0, "optimizer": tiny.AdamConfig()}
    config = tiny.settings(model=ToyConfig(), **changes)
    tiny.trainer(tmp_path, config, tiny.splits(held_out=held_out), module=toy, log_every=100).run()
    scores = {row["step"]: row for row in rows(tmp_path) if "held_out_loss" in row}
    assert list(scores) == [3, 6, 7]
    assert len({row["held_out_loss"] for row in scores.values()}) == 1
    assert [len(indices) for indices in held_out.read] == [500, 500, 24] * 3
    indices = [index for part in held_out.read[:3] for index in part]
    assert len(set(indices)) == 1024 and max(indices) > 2900 and indices == sorted(indices)
    # The mean over examples, not over batches of unlike sizes.
    assert scores[3]["held_out_examples"] == pytest.approx((500 * 500 * 2 + 24 * 24) / 1024)
    assert set(toy.modes) == {(True, True), (False, False)}
    assert toy.modes[-3:] == [(False, False)] * 3


def test_evaluating_more_often_changes_nothing_that_is_learned(tmp_path: Path) -> None:
    often = tiny.trainer(tmp_path / "a", tiny.settings(evaluate_every=1)).run().state_dict()
    never = tiny.trainer(tmp_path / "b", tiny.settings(evaluate_every=0), log_every=1, checkpoint_every=1).run().state_dict()
    assert all(torch.equal(often[name], value) for name, value in never.items())


def test_rows_say_what_is_going_on(tmp_path: Path) -> None:
    tiny.trainer(tmp_path, tiny.settings()).run()
    trained = [row for row in rows(tmp_path) if "loss" in row]
    assert [row["step"] for row in trained] == [2, 4, 6, 8, 10, 12]
    wanted = {"step", "stage", "loss", "perplexity", "gradient_norm", "seconds", "examples_per_second", "learning_rate", "waited_share"}
    assert all(wanted <= row.keys() for row in trained)
    assert all(0 <= row["waited_share"] <= 1 for row in trained)
    assert [row["seconds"] for row in rows(tmp_path)] == sorted(row["seconds"] for row in rows(tmp_path))


def test_seconds_go_on_after_a_pause(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        tiny.trainer(tmp_path, tiny.settings(), callbacks=[Signals((signal.SIGTERM,))]).run()
    path = tmp_path / "checkpoints/step-000007/state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seconds": 1000.0}))
    tiny.trainer(tmp_path, tiny.settings()).run()
    assert 1000 < rows(tmp_path)[-1]["seconds"] < 1100


def test_codebooks_start_once_from_the_first_global_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vqvae.data.loader import global_indices

    starts: list[list[torch.Tensor]] = []
    start = VQVAE.start
    monkeypatch.setattr(VQVAE, "start", lambda self, batches: (starts.append([]), start(self, _kept(batches, starts[-1])))[1])
    with pytest.raises(Interrupted):
        tiny.trainer(tmp_path, tiny.settings(), callbacks=[Signals((signal.SIGTERM,))]).run()
    tiny.trainer(tmp_path, tiny.settings()).run()
    assert len(starts) == 1
    for step, x in enumerate(starts[0]):
        assert torch.equal(x, tiny.splits().train.batch(global_indices(0, step, 8, 44)).x)
    assert len(starts[0]) > 1


def _kept(batches, kept: list) -> object:
    for batch in batches:
        kept.append(batch.x)
        yield batch


def test_frames_begin_with_the_weights_of_pictures(tmp_path: Path) -> None:
    pictures = tiny.trainer(tmp_path / "pictures", tiny.settings()).run()
    frames = FrameTokenizerConfig(model=tiny.model()).build()
    start_from(str(tmp_path / "pictures"), frames, "tokenizer", ())
    assert all(torch.equal(value, frames.model.state_dict()[name]) for name, value in pictures.state_dict().items())


def test_fine_tuning_begins_with_the_weights_of_another_run(tmp_path: Path) -> None:
    source = tiny.trainer(tmp_path / "source", tiny.settings()).run().state_dict()
    slow = tiny.AdamConfig(learning_rate=1e-12)
    config = tiny.settings(steps=1, seed=5, start_from=str(tmp_path / "source"), optimizer=slow, average_decay=0.0)
    tuned = tiny.trainer(tmp_path / "tuned", config).run().state_dict()
    weights = [name for name in source if name.startswith("encoder")]
    assert weights and all(torch.allclose(tuned[name], source[name], rtol=0, atol=1e-9) for name in weights)
    other = tiny.settings(model=tiny.model(dim=5), start_from=str(tmp_path / "source"))
    with pytest.raises(CheckpointError, match=r"source.*encoder.*expected float32"):
        tiny.trainer(tmp_path / "other", other).run()
    with pytest.raises(CheckpointError, match="There is no run .*nowhere"):
        tiny.trainer(tmp_path / "more", tiny.settings(start_from=str(tmp_path / "nowhere"))).run()


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.trainer(tmp_path / "whole", tiny.settings()).run()
    save = storage.parts.save_file

    def full(tensors: dict, path: Path) -> None:
        if "step-000010" in str(path) and "optimizer" in path.name:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path)

    monkeypatch.setattr(storage.parts, "save_file", full)
    with pytest.raises(CheckpointError, match="step-000010.*No space left"):
        tiny.trainer(tmp_path / "full", tiny.settings()).run()
    left = sorted(path.name for path in (tmp_path / "full/checkpoints").iterdir())
    assert "step-000008" in left and not any("10" in name or "tmp" in name for name in left)
    monkeypatch.undo()
    tiny.trainer(tmp_path / "full", tiny.settings()).run()
    assert tiny.contents(tmp_path / "full") == tiny.contents(tmp_path / "whole")


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of accumulate"):
        tiny.trainer(tmp_path, tiny.settings(batch_size=9, accumulate=2)).run()
    for changes in ({"steps": 0}, {"batch_size": 0}, {"accumulate": 0}, {"average_decay": 1.0}, {"evaluate_every": -1}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            tiny.settings(**changes)
    for changes in ({"keep_last": 0}, {"log_every": 0}, {"checkpoint_every": -1}, {"threads": 0}):
        with pytest.raises(ConfigError, match=next(iter(changes))):
            tiny.trainer(tmp_path, tiny.settings(), **changes)


def test_a_module_that_could_not_be_loaded_again_is_refused_before_there_is_a_folder(tmp_path: Path) -> None:
    built, bare = tiny.model().build(), nn.Identity()
    bare.stride = built.encoder.stride
    module = VQVAE(encoder=bare, quantizer=built.quantizer, decoder=built.decoder, criterion=built.criterion)
    with pytest.raises(ConfigError) as caught:
        tiny.trainer(tmp_path / "run", tiny.settings(), module=module)
    mending = ("@dataclass(frozen=True, kw_only=True)", "class MyConfig:", "def build(self, ...): return MyModule(self, ...)")
    for words in ("VQVAE cannot be stored: its parts ['encoder'] have no configuration", *mending, "self.config", "parts=[MyConfig]"):
        assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["optimizer", "adversary_optimizer"])
def test_an_encoder_share_that_nothing_has_is_refused_before_there_is_a_folder(tmp_path: Path, name: str) -> None:
    slow = tiny.AdamConfig(encoder_share=0.5)
    model = ToyConfig() if name == "optimizer" else adversary.model()
    with pytest.raises(ConfigError, match="encoder_share is 0.5.*Set it to 1"):
        tiny.trainer(tmp_path / "run", tiny.settings(model=model, **{name: slow}))
    assert not (tmp_path / "run").exists()


COMPARE = """
import sys
from pathlib import Path
import torch
from tests.training import adversary, tiny
from vqvae.models import GumbelSoftmaxConfig
folder = Path(sys.argv[1])
parts = tiny.model()
gumbel = GumbelSoftmaxConfig(
    codebook_size=8, dim=4, anneal_steps=4, likelihood=parts.likelihood, encoder=parts.encoder, decoder=parts.decoder
)
model = {"vqvae": parts, "gumbel": gumbel}[sys.argv[2]]
plain = tiny.trainer(folder / "a", tiny.settings(steps=4, model=model)).run().state_dict()
compiled = tiny.trainer(folder / "b", tiny.settings(steps=4, model=model, compile=True)).run().state_dict()
for name, value in plain.items():
    if model is parts or not value.is_floating_point():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-4)
    else:  # Compiled noise comes from another generator.
        assert compiled[name].isfinite().all() and compiled[name].shape == value.shape
print("compared", len(plain))
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("kind", ["vqvae", "gumbel"])
def test_compiled_training_learns_the_same(tmp_path: Path, kind: str) -> None:
    # In a process of its own: the compiler cannot trace the shape checks that tests put around every function.
    done = subprocess.run([sys.executable, "-c", COMPARE, str(tmp_path), kind], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "compared" in done.stdout
